using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>The special tokens that a tokenizer puts around a text.</summary>
/// <param name="Before">Ids in front of the text.</param>
/// <param name="After">Ids after the text.</param>
internal sealed record PostProcessor(int[] Before, int[] After)
{
    public static PostProcessor None { get; } = new([], []);

    /// <summary>Reads the <c>post_processor</c> of a tokenizer.json.</summary>
    public static PostProcessor Read(JsonField field)
    {
        if (field.IsNull)
            return None;
        var type = field["type"];
        switch (type.String())
        {
            case "ByteLevel":
                // It only trims offsets, which this library does not return.
                return None;
            case "Sequence":
                return field["processors"].Items().Select(Read)
                    .Aggregate(None, (inner, outer) => new([.. outer.Before, .. inner.Before], [.. inner.After, .. outer.After]));
            case "TemplateProcessing":
                return Template(field);
            case "RobertaProcessing":
            case "BertProcessing":
                return new([Id(Second(field["cls"]))], [Id(Second(field["sep"]))]);
            default:
                throw type.Fail($"is \"{JsonField.Shorten(type.String())}\"; supported are ByteLevel, Sequence, TemplateProcessing, "
                    + "RobertaProcessing and BertProcessing");
        }
    }

    private static PostProcessor Template(JsonField field)
    {
        var before = new List<int>();
        var after = new List<int>();
        var texts = 0;
        foreach (var piece in field["single"].Items())
        {
            if (piece["Sequence"] is { IsNull: false } sequence)
            {
                if (sequence["id"].String() != "A" || ++texts > 1)
                    throw sequence.Fail("must name the text \"A\", once");
                continue;
            }

            var token = piece["SpecialToken"]["id"];
            var known = field["special_tokens"][token.String()];
            if (known.IsNull)
                throw token.Fail($"is \"{JsonField.Shorten(token.String())}\", which special_tokens lacks");
            (texts == 0 ? before : after).AddRange(known["ids"].Items().Select(Id));
        }

        return texts == 1 ? new([.. before], [.. after]) : throw field["single"].Fail("has no place for the text (\"A\")");
    }

    private static JsonField Second(JsonField pair) =>
        pair.Items().ToArray() is [_, var second] ? second : throw pair.Fail("is no pair of token and id");

    private static int Id(JsonField field) => field.Int32(0, TokenVocabulary.MaxId);
}
