using System.Text;
using System.Text.Json;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Reads a <c>model</c> of type <c>BPE</c>: streams vocabulary and merges straight into their tables.</summary>
internal sealed class BpeModelReader
{
    private readonly string _file;
    private readonly JsonSections _model;
    private byte[] _key = new byte[256];
    private byte[] _left = new byte[256];
    private byte[] _right = new byte[256];

    private BpeModelReader(string file, JsonSections model)
    {
        _file = file;
        _model = model;
    }

    public static TokenizerModel Read(string file, JsonSections model) => new BpeModelReader(file, model).Read();

    private BpeModel Read()
    {
        var dropout = _model.Field("dropout");
        if (!dropout.IsNull && (dropout.Value.ValueKind != JsonValueKind.Number || dropout.Value.GetDouble() != 0))
            throw dropout.Fail("is set; random merges are for training, only null or 0 is supported");
        foreach (var affix in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
        {
            if (_model.Field(affix) is { IsNull: false } field && field.String().Length > 0)
                throw field.Fail("is set; only null or \"\" is supported");
        }

        var vocabulary = ReadVocabulary();
        var unknown = _model.Field("unk_token");
        int? unknownId = null;
        if (unknown.StringOrNull() is { } token)
        {
            unknownId = vocabulary.Find(Encoding.UTF8.GetBytes(token));
            if (unknownId < 0)
                throw unknown.Fail($"is \"{JsonField.Shorten(token)}\", which {_model.PathOf("vocab")} lacks");
        }

        return new BpeModel(vocabulary, ReadMerges(vocabulary), new BpeOptions(
            unknownId,
            _model.Field("fuse_unk").Bool(false),
            _model.Field("byte_fallback").Bool(false),
            _model.Field("ignore_merges").Bool(false)));
    }

    private TokenVocabulary ReadVocabulary()
    {
        var path = _model.PathOf("vocab");
        var bytes = _model.Bytes("vocab");
        var vocabulary = JsonSections.Guarded(_file, path, () =>
        {
            var result = new TokenVocabulary(bytes.Length);
            var reader = new Utf8JsonReader(bytes.Span, JsonSections.Options);
            if (bytes.IsEmpty || !reader.Read() || reader.TokenType != JsonTokenType.StartObject)
                throw Fail(path, "is absent or no object; an object of token → id was expected");
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var token = Unescape(ref reader, ref _key);
                reader.Read();
                if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt32(out var id) || id is < 0 or > TokenVocabulary.MaxId)
                {
                    throw Fail(
                        $"{path}[\"{Show(token)}\"]", $"is {Show(reader.ValueSpan)}; an id from 0 to {TokenVocabulary.MaxId} was expected");
                }

                if (!result.TryAdd(token, id))
                    throw Fail(path, $"has the token \"{Show(token)}\" twice");
            }

            return result;
        });
        if (vocabulary.Freeze() is { } problem)
            throw Fail(path, problem);
        return vocabulary;
    }

    private MergeTable ReadMerges(TokenVocabulary vocabulary)
    {
        var path = _model.PathOf("merges");
        var bytes = _model.Bytes("merges");
        return JsonSections.Guarded(_file, path, () =>
        {
            var merges = new MergeTable();
            var reader = new Utf8JsonReader(bytes.Span, JsonSections.Options);
            if (bytes.IsEmpty || !reader.Read() || reader.TokenType != JsonTokenType.StartArray)
                throw Fail(path, "is absent or no array; an array of \"a b\" or [\"a\", \"b\"] was expected");
            for (var rank = 0; reader.Read() && reader.TokenType != JsonTokenType.EndArray; rank++)
            {
                ReadOnlySpan<byte> left, right;
                if (reader.TokenType == JsonTokenType.StartArray)
                {
                    reader.Read();
                    left = Part(ref reader, ref _left, path, rank);
                    reader.Read();
                    right = Part(ref reader, ref _right, path, rank);
                    if (!reader.Read() || reader.TokenType != JsonTokenType.EndArray)
                        throw Fail($"{path}[{rank}]", "has more than two tokens");
                }
                else
                {
                    var both = Part(ref reader, ref _left, path, rank);
                    // A header line of the old text format; the reference drops it without giving it a rank.
                    if (both.StartsWith("#version"u8))
                    {
                        rank--;
                        continue;
                    }

                    var space = both.IndexOf((byte)' ');
                    if (space < 0 || both[(space + 1)..].Contains((byte)' '))
                        throw Fail($"{path}[{rank}]", $"is \"{Show(both)}\"; two tokens with one space between were expected");
                    left = both[..space];
                    right = both[(space + 1)..];
                }

                var (a, b) = (Id(vocabulary, left, path, rank), Id(vocabulary, right, path, rank));
                merges.Set(a, b, rank, Joined(vocabulary, left, right, path, rank));
            }

            return merges;
        });
    }

    private ReadOnlySpan<byte> Part(scoped ref Utf8JsonReader reader, ref byte[] scratch, string path, int rank) =>
        reader.TokenType == JsonTokenType.String
            ? Unescape(ref reader, ref scratch)
            : throw Fail($"{path}[{rank}]", "is no \"a b\" and no pair of two tokens");

    private int Joined(TokenVocabulary vocabulary, ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, string path, int rank)
    {
        if (_key.Length < left.Length + right.Length)
            _key = new byte[2 * (left.Length + right.Length)];
        left.CopyTo(_key);
        right.CopyTo(_key.AsSpan(left.Length));
        return Id(vocabulary, _key.AsSpan(0, left.Length + right.Length), path, rank);
    }

    private int Id(TokenVocabulary vocabulary, ReadOnlySpan<byte> token, string path, int rank) =>
        vocabulary.Find(token) is >= 0 and var id
            ? id
            : throw Fail($"{path}[{rank}]", $"refers to the token \"{Show(token)}\", which {_model.PathOf("vocab")} lacks");

    private static ReadOnlySpan<byte> Unescape(scoped ref Utf8JsonReader reader, ref byte[] scratch)
    {
        if (!reader.ValueIsEscaped)
            return reader.ValueSpan;
        if (scratch.Length < reader.ValueSpan.Length)
            scratch = new byte[2 * reader.ValueSpan.Length];
        return scratch.AsSpan(0, reader.CopyString(scratch));
    }

    private TokenizerException Fail(string path, string problem) => TokenizerException.File(_file, $"{path} {problem}");

    private static string Show(ReadOnlySpan<byte> text) => JsonField.Shorten(Encoding.UTF8.GetString(text[..Math.Min(text.Length, 400)]));
}
