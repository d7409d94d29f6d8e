using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;

namespace LocalLlm.Tokenizers;

/// <summary>
/// SentencePiece's Unigram model: of all ways to split a text into pieces, it takes the one with the largest sum of scores
/// (log-probabilities). Adjacent unknown characters become one unknown token, or the tokens of their bytes.
/// </summary>
internal sealed class UnigramModel : TokenizerModel
{
    private readonly TokenVocabulary _vocabulary;
    private readonly int _unknownId;
    private readonly UnigramPath _path;
    private readonly int[]? _idOfByte; // null: no byte fallback; -1: that byte's token is missing
    private readonly WordCache _cache = new();

    /// <param name="vocabulary">The pieces, with the ids 0 to <see cref="TokenVocabulary.Size"/> - 1.</param>
    /// <param name="scores">The score of each piece; finite.</param>
    /// <param name="unknownId">Stands for text that no piece covers.</param>
    /// <param name="byteFallback">
    /// Such text becomes its UTF-8 bytes if the vocabulary has a token such as <c>&lt;0x0A&gt;</c> for every byte.
    /// </param>
    public UnigramModel(TokenVocabulary vocabulary, double[] scores, int unknownId, bool byteFallback)
    {
        _vocabulary = vocabulary;
        _unknownId = unknownId;
        _path = new UnigramPath(new PieceTrie(vocabulary), scores, unknownId);
        if (byteFallback)
            _idOfByte = Enumerable.Range(0, 256).Select(b => vocabulary.Find(Encoding.UTF8.GetBytes($"<0x{b:X2}>"))).ToArray();
    }

    public override TokenVocabulary Vocabulary => _vocabulary;

    public override int? UnknownId => _unknownId;

    public override void Tokenize(ReadOnlySpan<char> piece, List<int> ids, IdSet? forbidden)
    {
        if (piece.IsEmpty)
            return;
        var start = ids.Count;
        TokenizeTrusted(piece, ids);
        if (forbidden is null)
            return;

        // Only a piece that produced a forbidden token is tokenised again without those tokens; for other pieces, leaving them
        // out changes nothing. The unknown token may have come from its own text, which must not be taken for unknown text.
        var found = CollectionsMarshal.AsSpan(ids)[start..];
        if (!forbidden.ContainsAny(found) && !found.Contains(_unknownId))
            return;
        CollectionsMarshal.SetCount(ids, start);
        AppendBest(piece, ids, forbidden);
    }

    private void TokenizeTrusted(ReadOnlySpan<char> piece, List<int> ids)
    {
        var hash = 0;
        var cacheable = piece.Length <= WordCache.MaxWordLength;
        if (cacheable && _cache.TryGet(piece, out hash, out var known))
        {
            ids.AddRange(known);
            return;
        }

        var start = ids.Count;
        AppendBest(piece, ids, forbidden: null);
        if (cacheable)
            _cache.Set(hash, piece, CollectionsMarshal.AsSpan(ids)[start..]);
    }

    private void AppendBest(ReadOnlySpan<char> piece, List<int> ids, IdSet? forbidden)
    {
        var rented = piece.Length >= 64 ? ArrayPool<UnigramStep>.Shared.Rent(piece.Length + 1) : null;
        var steps = (rented ?? stackalloc UnigramStep[64])[..(piece.Length + 1)];
        _path.Find(piece, steps, forbidden);

        // Follow the path backwards from its end.
        var start = ids.Count;
        var unknownEnd = -1; // end of the unknown text gathered so far
        for (var at = piece.Length; at > 0; at = steps[at].Start)
        {
            if (steps[at].Id == _unknownId)
            {
                unknownEnd = Math.Max(unknownEnd, at);
                continue;
            }

            if (unknownEnd > 0)
                AppendUnknownReversed(piece[at..unknownEnd], ids, forbidden);
            unknownEnd = -1;
            ids.Add(steps[at].Id);
        }

        if (unknownEnd > 0)
            AppendUnknownReversed(piece[..unknownEnd], ids, forbidden);
        ids.Reverse(start, ids.Count - start);
        if (rented is not null)
            ArrayPool<UnigramStep>.Shared.Return(rented);
    }

    private void AppendUnknownReversed(ReadOnlySpan<char> text, List<int> ids, IdSet? forbidden)
    {
        var size = Encoding.UTF8.GetByteCount(text);
        if (_idOfByte is null && size > _vocabulary.LongestToken)
        {
            ids.Add(_unknownId);
            return;
        }

        var rented = size > 256 ? ArrayPool<byte>.Shared.Rent(size) : null;
        Span<byte> utf8 = rented ?? stackalloc byte[256];
        utf8 = utf8[..Encoding.UTF8.GetBytes(text, utf8)];
        // The reference looks up the gathered text as a whole, which can be a piece that was on no path.
        if (_vocabulary.Find(utf8) is >= 0 and var id && forbidden?.Contains(id) != true)
            ids.Add(id);
        else if (!TryAppendBytesReversed(utf8, ids))
            ids.Add(_unknownId);
        if (rented is not null)
            ArrayPool<byte>.Shared.Return(rented);
    }

    private bool TryAppendBytesReversed(ReadOnlySpan<byte> utf8, List<int> ids)
    {
        if (_idOfByte is null)
            return false;
        foreach (var b in utf8)
        {
            if (_idOfByte[b] < 0)
                return false;
        }

        for (var i = utf8.Length - 1; i >= 0; i--)
            ids.Add(_idOfByte[utf8[i]]);
        return true;
    }
}
