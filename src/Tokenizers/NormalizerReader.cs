using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Reads the <c>normalizer</c> of a tokenizer.json.</summary>
internal static class NormalizerReader
{
    /// <summary>The normalizer, or null if text stays as it is.</summary>
    public static Normalizer? Read(JsonField field)
    {
        if (field.IsNull)
            return null;
        var type = field["type"];
        switch (type.String())
        {
            case "NFC":
                return new UnicodeNormalizer(NormalizationForm.FormC, field);
            case "NFD":
                return new UnicodeNormalizer(NormalizationForm.FormD, field);
            case "NFKC":
                return new UnicodeNormalizer(NormalizationForm.FormKC, field);
            case "NFKD":
                return new UnicodeNormalizer(NormalizationForm.FormKD, field);
            case "Precompiled":
                return new PrecompiledNormalizer(CharacterMap.Read(field["precompiled_charsmap"]));
            case "Prepend":
                return new PrependNormalizer(field["prepend"].String());
            case "Replace":
                return new ReplaceNormalizer(SplitPatternReader.Read(field["pattern"]), field["content"].String());
            case "Lowercase":
                return new LowercaseNormalizer();
            case "Strip":
                return new StripNormalizer(field["strip_left"].Bool(true), field["strip_right"].Bool(true));
            case "StripAccents":
                return new StripAccentsNormalizer();
            case "Sequence":
                var steps = field["normalizers"].Items().Select(Read).OfType<Normalizer>().ToArray();
                return steps.Length == 0 ? null : new SequenceNormalizer(steps);
            default:
                throw type.Fail($"is \"{JsonField.Shorten(type.String())}\"; supported are NFC, NFD, NFKC, NFKD, Precompiled, Prepend, "
                    + "Replace, Lowercase, Strip, StripAccents and Sequence");
        }
    }
}
