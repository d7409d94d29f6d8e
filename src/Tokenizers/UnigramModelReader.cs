using System.Text;
using System.Text.Json;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Reads a <c>model</c> of type <c>Unigram</c>: streams the list of pieces and scores straight into their tables.</summary>
internal sealed class UnigramModelReader
{
    // The largest vocabularies have a million pieces of some ten characters; the trie's memory grows with the characters.
    private const int MaxPieces = 1 << 21;
    private const int MaxCharacters = 1 << 24;

    // Tokenising a text takes at most its length times this. SentencePiece's own limit is 16 characters.
    private const int MaxPieceLength = 256;

    private readonly string _file;
    private readonly string _path;
    private readonly ReadOnlyMemory<byte> _bytes;
    private readonly TokenVocabulary _vocabulary;
    private readonly List<double> _scores = [];
    private byte[] _piece = new byte[256];
    private int _characters;

    private UnigramModelReader(string file, string path, ReadOnlyMemory<byte> bytes)
    {
        _file = file;
        _path = path;
        _bytes = bytes;
        _vocabulary = new TokenVocabulary(bytes.Length);
    }

    public static TokenizerModel Read(string file, JsonSections model)
    {
        var path = model.PathOf("vocab");
        var reader = new UnigramModelReader(file, path, model.Bytes("vocab"));
        JsonSections.Guarded(file, path, reader.ReadPieces);
        var unknown = model.Field("unk_id");
        if (unknown.IsNull)
            throw unknown.Fail("is absent or null; the id of the piece that stands for unknown text was expected");
        return new UnigramModel(
            reader._vocabulary, [.. reader._scores], unknown.Int32(0, reader._scores.Count - 1), model.Field("byte_fallback").Bool(false));
    }

    private bool ReadPieces()
    {
        var reader = new Utf8JsonReader(_bytes.Span, JsonSections.Options);
        if (_bytes.IsEmpty || !reader.Read() || reader.TokenType != JsonTokenType.StartArray)
            throw TokenizerException.File(_file, $"{_path} is absent or no array; an array of [\"piece\", score] was expected");
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (_scores.Count == MaxPieces)
                throw TokenizerException.File(_file, $"{_path} has more than {MaxPieces} pieces; at most so many are allowed");
            if (reader.TokenType != JsonTokenType.StartArray || !reader.Read() || reader.TokenType != JsonTokenType.String)
                throw Fail("is no pair of a piece and its score");
            AddPiece(ref reader);
            if (!reader.Read() || reader.TokenType != JsonTokenType.Number || !reader.TryGetDouble(out var score) || !double.IsFinite(score))
                throw Fail("has no score that is a finite number");
            if (!reader.Read() || reader.TokenType != JsonTokenType.EndArray)
                throw Fail("has more than a piece and its score");
            _scores.Add(score);
        }

        if (_scores.Count == 0)
            throw TokenizerException.File(_file, $"{_path} is empty; at least the piece for unknown text was expected");
        return _vocabulary.Freeze() is { } problem ? throw TokenizerException.File(_file, $"{_path} {problem}") : true;
    }

    private void AddPiece(ref Utf8JsonReader reader)
    {
        if (_piece.Length < reader.ValueSpan.Length)
            _piece = new byte[2 * reader.ValueSpan.Length];
        var piece = _piece.AsSpan(0, reader.CopyString(_piece));
        var length = Encoding.UTF8.GetCharCount(piece);
        if (length > MaxPieceLength)
            throw Fail($"has a piece of {length} characters; at most {MaxPieceLength} are allowed");
        _characters += length;
        if (_characters > MaxCharacters)
            throw Fail($"brings the pieces to {_characters} characters together; at most {MaxCharacters} are allowed");
        if (!_vocabulary.TryAdd(piece, _scores.Count))
            throw Fail($"is the piece \"{JsonField.Shorten(Encoding.UTF8.GetString(piece))}\", which stands in the list already");
    }

    private TokenizerException Fail(string problem) => TokenizerException.File(_file, $"{_path}[{_scores.Count}] {problem}");
}
