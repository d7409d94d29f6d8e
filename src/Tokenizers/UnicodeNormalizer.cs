using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>One of Unicode's normal forms, by the platform's tables.</summary>
internal sealed class UnicodeNormalizer : Normalizer
{
    private readonly NormalizationForm _form;

    public UnicodeNormalizer(NormalizationForm form, JsonField field)
    {
        _form = form;
        // Without Unicode data (invariant globalization), normalising silently does nothing, which would give wrong ids.
        if ("e\u0301".Normalize(NormalizationForm.FormC) != "\u00E9" || "\u00E9".Normalize(NormalizationForm.FormD) != "e\u0301")
        {
            throw new TokenizerException(TokenizerErrorKind.Environment, $"{field.Path} needs Unicode normalisation, but this process runs "
                + "without Unicode data: install libicu and leave InvariantGlobalization (DOTNET_SYSTEM_GLOBALIZATION_INVARIANT) off.");
        }
    }

    public override string Normalize(string text)
    {
        if (System.Text.Ascii.IsValid(text))
            return text;
        // .NET refuses U+FFFE, which Unicode allows; nothing composes with it.
        if (!text.Contains('\uFFFE', StringComparison.Ordinal))
            return Form(text);
        return string.Join('\uFFFE', text.Split('\uFFFE').Select(Form));
    }

    private string Form(string text) => CombiningMarks.OrderLongRuns(text).Normalize(_form);
}
