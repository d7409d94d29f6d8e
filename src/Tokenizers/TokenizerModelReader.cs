using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Reads the <c>model</c> of a tokenizer.json: chooses the reader of its type.</summary>
internal static class TokenizerModelReader
{
    public static TokenizerModel Read(string file, JsonSections model)
    {
        var type = model.Field("type");
        switch (TypeOf(type, model))
        {
            case "BPE":
                return BpeModelReader.Read(file, model);
            case "Unigram":
                return UnigramModelReader.Read(file, model);
            case var other:
                throw type.Fail($"is \"{JsonField.Shorten(other)}\"; this tokenizer reads models of type \"BPE\" and \"Unigram\"");
        }
    }

    // The first versions of the format name no type: a BPE has merges, and a Unigram's vocabulary is a list.
    private static string TypeOf(JsonField type, JsonSections model)
    {
        if (type.IsNull && !model.Bytes("merges").IsEmpty)
            return "BPE";
        return type.IsNull && model.Bytes("vocab").Span.StartsWith("["u8) ? "Unigram" : type.String();
    }
}
