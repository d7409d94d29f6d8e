using System.Buffers;
using System.Globalization;
using System.Text;
using LocalLlm.Tokenizers;

namespace LocalLlm.Server.OpenAI;

/// <summary>
/// <c>text_offset</c>: where the text of each token begins in the returned text, in Unicode code points, as Python counts characters.
/// Tokens that share the bytes of one character all get that character's offset. A token without text in the response (an omitted special
/// token) gets the offset of the next text.
/// </summary>
/// <param name="tokenizer">The model's tokenizer; null: there is no text, and every offset is that of the beginning.</param>
/// <param name="skipSpecialTokens">Whether the text omits special tokens.</param>
/// <param name="start">Where the text of the first token begins.</param>
internal sealed class TextOffsets(Tokenizer? tokenizer, bool skipSpecialTokens, int start)
{
    private readonly List<byte> _unfinished = []; // the bytes so far of an incomplete character
    private int _count = start;
    private bool _hasText;

    /// <summary>Returns the number of code points of a text.</summary>
    public static int Length(ReadOnlySpan<char> text)
    {
        var count = text.Length;
        foreach (var unit in text)
            count -= char.IsLowSurrogate(unit) ? 1 : 0;
        return count;
    }

    /// <summary>Returns the offsets of a prompt's tokens in its echoed text.</summary>
    /// <param name="tokenizer">The model's tokenizer, or null.</param>
    /// <param name="text">The echoed text.</param>
    /// <param name="ids">The prompt's tokens. They include tokens that the tokenizer adds to every text and that the text does not
    /// show.</param>
    public static int[] OfPrompt(Tokenizer? tokenizer, string text, IReadOnlyList<int> ids)
    {
        if (tokenizer is null || tokenizer.Normalize(text) == text)
            return OfTokens(tokenizer, text, ids);
        var (normal, starts) = Normalized(tokenizer, text);
        return [.. OfTokens(tokenizer, normal, ids).Select(place => starts[place])];
    }

    // Returns the normalized text, and the offset in the original text of each of its code points and of its end. A rewritten character (a
    // letter and its accent become one code point) has the offset of the original character.
    private static (string Text, int[] Starts) Normalized(Tokenizer tokenizer, string text)
    {
        var normal = new StringBuilder();
        var starts = new List<int>();
        var start = 0;
        for (var at = 0; at < text.Length;)
        {
            var character = text.Substring(at, StringInfo.GetNextTextElementLength(text.AsSpan(at)));
            var form = tokenizer.Normalize(character);
            var (length, formLength) = (Length(character), Length(form));
            starts.AddRange(Enumerable.Range(0, formLength).Select(index => start + (length == formLength ? index : 0)));
            normal.Append(form);
            at += character.Length;
            start += length;
        }

        // A normalizer that adds to the text as a whole cannot be followed character by character: then keep the text as it is.
        return normal.ToString() == tokenizer.Normalize(text)
            ? (normal.ToString(), [.. starts, start])
            : (text, [.. Enumerable.Range(0, Length(text) + 1)]);
    }

    private static int[] OfTokens(Tokenizer? tokenizer, string text, IReadOnlyList<int> ids)
    {
        var length = Length(text);
        var rest = text.AsSpan();
        var offsets = new TextOffsets(tokenizer, skipSpecialTokens: false, 0);
        var places = new int[ids.Count];
        for (var i = 0; i < places.Length; i++)
        {
            // A special token that the tokenizer added is not part of the text, unless the text has the token's own text there.
            var isShown = tokenizer?.IsSpecial(ids[i]) != true || rest.StartsWith(tokenizer.IdToToken(ids[i]), StringComparison.Ordinal);
            var before = offsets._count;
            places[i] = Math.Min(isShown ? offsets.Next(ids[i], rest) : before, length);
            for (; before < offsets._count && rest.Length > 0; before++)
                rest = rest[(rest.Length > 1 && char.IsSurrogatePair(rest[0], rest[1]) ? 2 : 1)..];
        }

        return places;
    }

    /// <summary>Returns the offset of the output's next token.</summary>
    public int Next(int id) => Next(id, null);

    // text: the returned text from here on, as far as known.
    private int Next(int id, ReadOnlySpan<char> text)
    {
        if (tokenizer is null || (skipSpecialTokens && tokenizer.IsSpecial(id)))
            return _count;
        var own = tokenizer.IdToBytes(id);
        if (own.IsEmpty)
            return _count;
        // Bytes that cannot continue the character before them end it.
        if (_unfinished.Count > 0 && (own[0] & 0xC0) != 0x80)
        {
            _unfinished.Clear();
            _count++;
        }

        var place = _count;
        Take(own);
        // Some tokenizers begin a text with a space that decoding removes.
        if (!_hasText && own[0] == ' ' && _count > place && (text.IsEmpty ? !tokenizer.Decode([id]).StartsWith(' ') : text[0] != ' '))
            _count--;
        _hasText = true;
        return place;
    }

    // Counts complete characters, and keeps the remaining bytes.
    private void Take(ReadOnlySpan<byte> own)
    {
        _unfinished.AddRange(own);
        var bytes = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_unfinished);
        var taken = 0;
        while (taken < bytes.Length && Rune.DecodeFromUtf8(bytes[taken..], out _, out var length) != OperationStatus.NeedMoreData)
        {
            taken += length;
            _count++;
        }

        _unfinished.RemoveRange(0, taken);
    }
}
