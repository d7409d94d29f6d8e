using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>What tokenizer_config.json adds to tokenizer.json: the names of the special tokens, and further added tokens.</summary>
/// <param name="BosToken">Text of the begin-of-sequence token, or null.</param>
/// <param name="EosToken">Text of the end-of-sequence token, or null.</param>
/// <param name="UnkToken">Text of the unknown token, or null.</param>
/// <param name="PadToken">Text of the padding token, or null.</param>
/// <param name="AddBosToken">Whether a text should begin with <paramref name="BosToken"/>; null if the file does not say.</param>
/// <param name="AddEosToken">The same for <paramref name="EosToken"/> at the end.</param>
/// <param name="AddedTokens">The <c>added_tokens_decoder</c>, each token with its place in the file.</param>
internal sealed record TokenizerConfig(
    string? BosToken, string? EosToken, string? UnkToken, string? PadToken, bool? AddBosToken, bool? AddEosToken,
    IReadOnlyList<(JsonField Field, AddedToken Token)> AddedTokens)
{
    public const string FileName = "tokenizer_config.json";

    public static TokenizerConfig Read(string modelFolder)
    {
        var path = Path.Combine(modelFolder, FileName);
        if (!Path.Exists(path))
            return new(null, null, null, null, null, null, []);
        var file = JsonSections.ReadFile(path);
        return new(
            Token(file.Field("bos_token")),
            Token(file.Field("eos_token")),
            Token(file.Field("unk_token")),
            Token(file.Field("pad_token")),
            Flag(file.Field("add_bos_token")),
            Flag(file.Field("add_eos_token")),
            ReadAddedTokens(file.Field("added_tokens_decoder")));
    }

    // A plain string, or an AddedToken written out as an object.
    private static string? Token(JsonField field) => field.IsObject ? field["content"].String() : field.StringOrNull();

    private static bool? Flag(JsonField field) => field.IsNull ? null : field.Bool(false);

    private static List<(JsonField, AddedToken)> ReadAddedTokens(JsonField field)
    {
        var result = new List<(JsonField, AddedToken)>();
        if (field.IsNull)
            return result;
        foreach (var (key, entry) in field.Members())
        {
            if (!int.TryParse(key, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var id))
                throw entry.Fail($"is keyed by no id; a whole number from 0 to {TokenVocabulary.MaxId} was expected");
            result.Add((entry, AddedTokenReader.Read(entry, id)));
        }

        return result;
    }
}
