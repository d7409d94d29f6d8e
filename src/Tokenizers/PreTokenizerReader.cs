using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Reads the <c>pre_tokenizer</c> of a tokenizer.json.</summary>
internal static class PreTokenizerReader
{
    /// <summary>The pre-tokenizer, or null where a text is one piece.</summary>
    public static PreTokenizer? Read(JsonField field)
    {
        if (field.IsNull)
            return null;
        var type = field["type"];
        switch (type.String())
        {
            case "Sequence":
                var steps = field["pretokenizers"].Items().Select(Read).OfType<PreTokenizer>().ToArray();
                return steps.Length == 0 ? null : new SequencePreTokenizer(steps);
            case "Split":
                return new SplitPreTokenizer(
                    SplitPatternReader.Read(field["pattern"]), Behavior(field["behavior"]), field["invert"].Bool(false));
            case "ByteLevel":
                return new ByteLevelPreTokenizer(field["add_prefix_space"].Bool(true), field["use_regex"].Bool(true));
            case "Digits":
                return new DigitsPreTokenizer(field["individual_digits"].Bool(false));
            case "Metaspace":
                return new MetaspacePreTokenizer(Replacement(field), PrependScheme(field), field["split"].Bool(true));
            case "WhitespaceSplit":
                return new SplitPreTokenizer(new WhiteSpacePattern(), SplitBehavior.Removed, invert: false);
            default:
                throw type.Fail($"is \"{JsonField.Shorten(type.String())}\"; supported are Sequence, Split, ByteLevel, Digits, "
                    + "Metaspace and WhitespaceSplit");
        }
    }

    public static string Replacement(JsonField field) =>
        field["replacement"] is { IsNull: false } replacement ? replacement.Character() : "▁";

    public static string PrependScheme(JsonField field)
    {
        var given = field["prepend_scheme"];
        var scheme = given.StringOrNull() ?? (field["add_prefix_space"].Bool(true) ? "always" : "never");
        return scheme is "always" or "first" or "never"
            ? scheme
            : throw given.Fail($"is \"{JsonField.Shorten(scheme)}\"; always, first or never was expected");
    }

    private static SplitBehavior Behavior(JsonField field) => field.String() switch
    {
        "Isolated" => SplitBehavior.Isolated,
        "Removed" => SplitBehavior.Removed,
        "MergedWithPrevious" => SplitBehavior.MergedWithPrevious,
        "MergedWithNext" => SplitBehavior.MergedWithNext,
        "Contiguous" => SplitBehavior.Contiguous,
        var other => throw field.Fail($"is \"{JsonField.Shorten(other)}\"; Isolated, Removed, MergedWithPrevious, MergedWithNext or "
            + "Contiguous was expected"),
    };
}
