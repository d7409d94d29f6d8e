using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>
/// Byte-pair encoding, byte-level or SentencePiece-style (byte fallback, unknown token): the model type <c>BPE</c> of
/// tokenizer.json.
/// </summary>
internal sealed class BpeModel : TokenizerModel
{
    private readonly TokenVocabulary _vocabulary;
    private readonly MergeTable _merges;
    private readonly BpeOptions _options;
    private readonly int[] _idOfCharacter = new int[0x10000]; // basic plane only; -1: not in the vocabulary
    private readonly int[]? _idOfByte; // null: no byte fallback; -1: that byte's token is missing
    private readonly WordCache _cache = new();

    public BpeModel(TokenVocabulary vocabulary, MergeTable merges, BpeOptions options)
    {
        _vocabulary = vocabulary;
        _merges = merges;
        _options = options;
        Span<byte> utf8 = stackalloc byte[4];
        for (var c = 0; c < _idOfCharacter.Length; c++)
            _idOfCharacter[c] = char.IsSurrogate((char)c) ? -1 : vocabulary.Find(utf8[..new Rune(c).EncodeToUtf8(utf8)]);
        if (options.ByteFallback)
            _idOfByte = Enumerable.Range(0, 256).Select(b => vocabulary.Find(Encoding.UTF8.GetBytes($"<0x{b:X2}>"))).ToArray();
    }

    public override TokenVocabulary Vocabulary => _vocabulary;

    public override int? UnknownId => _options.UnknownId;

    public override void Tokenize(ReadOnlySpan<char> piece, List<int> ids, IdSet? forbidden)
    {
        if (piece.IsEmpty)
            return;
        var start = ids.Count;
        Tokenize(piece, ids);
        if (forbidden is null || !forbidden.ContainsAny(CollectionsMarshal.AsSpan(ids)[start..]))
            return;

        // Only a piece that became a forbidden token is merged again, without the merges that lead to one.
        CollectionsMarshal.SetCount(ids, start);
        AppendSymbols(piece, ids);
        var count = BpeMerger.Merge(CollectionsMarshal.AsSpan(ids)[start..], _merges, forbidden);
        CollectionsMarshal.SetCount(ids, start + count);
    }

    private void Tokenize(ReadOnlySpan<char> piece, List<int> ids)
    {
        if (_options.IgnoreMerges && WholeWord(piece) is >= 0 and var whole)
        {
            ids.Add(whole);
            return;
        }

        var hash = 0;
        var cacheable = piece.Length <= WordCache.MaxWordLength;
        if (cacheable && _cache.TryGet(piece, out hash, out var known))
        {
            Append(ids, known);
            return;
        }

        var start = ids.Count;
        AppendSymbols(piece, ids);
        var symbols = CollectionsMarshal.AsSpan(ids)[start..];
        var count = BpeMerger.Merge(symbols, _merges, forbidden: null);
        if (cacheable)
            _cache.Set(hash, piece, symbols[..count]);
        CollectionsMarshal.SetCount(ids, start + count);
    }

    private static void Append(List<int> ids, ReadOnlySpan<int> more)
    {
        var count = ids.Count;
        CollectionsMarshal.SetCount(ids, count + more.Length);
        more.CopyTo(CollectionsMarshal.AsSpan(ids)[count..]);
    }

    private int WholeWord(ReadOnlySpan<char> piece)
    {
        // A UTF-16 unit takes at least one byte of UTF-8, so a longer piece cannot be a token.
        if (piece.Length > _vocabulary.LongestToken)
            return -1;
        var rented = piece.Length > 256 ? ArrayPool<byte>.Shared.Rent(3 * piece.Length) : null;
        Span<byte> buffer = rented ?? stackalloc byte[768];
        var id = _vocabulary.Find(buffer[..Encoding.UTF8.GetBytes(piece, buffer)]);
        if (rented is not null)
            ArrayPool<byte>.Shared.Return(rented);
        return id;
    }

    /// <summary>One id per character; a character that is not in the vocabulary becomes its bytes, or the unknown token.</summary>
    private void AppendSymbols(ReadOnlySpan<char> piece, List<int> ids)
    {
        ids.EnsureCapacity(ids.Count + piece.Length);
        var unknown = false; // an unknown token is pending: it may be fused with those after it
        Span<byte> utf8 = stackalloc byte[4];
        for (var i = 0; i < piece.Length;)
        {
            var codePoint = CodePoints.At(piece, i, out var width);
            i += width;
            int id;
            if (codePoint < 0x10000)
                id = _idOfCharacter[codePoint];
            else
                id = _vocabulary.Find(utf8[..new Rune(codePoint).EncodeToUtf8(utf8)]);

            if (id >= 0)
            {
                if (unknown)
                    ids.Add(_options.UnknownId!.Value);
                unknown = false;
                ids.Add(id);
            }
            else if (!TryAppendBytes(codePoint, ids) && _options.UnknownId is { } unknownId)
            {
                if (unknown && !_options.FuseUnknown)
                    ids.Add(unknownId);
                unknown = true;
            }
        }

        if (unknown)
            ids.Add(_options.UnknownId!.Value);
    }

    private bool TryAppendBytes(int codePoint, List<int> ids)
    {
        if (_idOfByte is null)
            return false;
        Span<byte> utf8 = stackalloc byte[4];
        utf8 = utf8[..new Rune(codePoint).EncodeToUtf8(utf8)];
        foreach (var b in utf8)
        {
            if (_idOfByte[b] < 0)
                return false;
        }

        foreach (var b in utf8)
            ids.Add(_idOfByte[b]);
        return true;
    }
}
