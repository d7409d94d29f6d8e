using System.Buffers;
using System.Globalization;
using System.Text;
using LocalLlm.Tokenizers;

namespace LocalLlm.Server.OpenAI;

/// <summary>
/// <c>text_offset</c>: where the text of each token begins in the text that is returned, in Unicode code points, as Python counts
/// characters. A character whose bytes several tokens share stands at one
/// place, which all of them get. A token without text in the answer (a special token that is left out) stands where the next text begins.
/// </summary>
/// <param name="tokenizer">The model's tokenizer; null: there is no text, and every token stands at the beginning.</param>
/// <param name="skipSpecialTokens">Whether special tokens are left out of the text.</param>
/// <param name="start">Where the text of the first token begins.</param>
internal sealed class TextOffsets(Tokenizer? tokenizer, bool skipSpecialTokens, int start)
{
    private readonly List<byte> _unfinished = []; // the bytes so far of a character that is not whole
    private int _count = start;
    private bool _hasText;

    /// <summary>How many code points a text has.</summary>
    public static int Length(ReadOnlySpan<char> text)
    {
        var count = text.Length;
        foreach (var unit in text)
            count -= char.IsLowSurrogate(unit) ? 1 : 0;
        return count;
    }

    /// <summary>The places of the tokens of a prompt in the text that is sent back for it.</summary>
    /// <param name="tokenizer">The model's tokenizer, or null.</param>
    /// <param name="text">The text that is sent back.</param>
    /// <param name="ids">The prompt's tokens, among them those that the tokenizer adds to every text and that the text does not
    /// show.</param>
    public static int[] OfPrompt(Tokenizer? tokenizer, string text, IReadOnlyList<int> ids)
    {
        if (tokenizer is null || tokenizer.Normalize(text) == text)
            return OfTokens(tokenizer, text, ids);
        var (normal, starts) = Normalized(tokenizer, text);
        return [.. OfTokens(tokenizer, normal, ids).Select(place => starts[place])];
    }

    // The tokenizer's form of a text, and where each of its code points begins in the text, the end included. A character that is
    // rewritten (a letter and its accent become one code point) begins where the text's character does.
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

        // A normaliser that adds to the whole text cannot be followed character by character.
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
            // What the tokenizer adds is no part of the text, unless its own text stands there.
            var isShown = tokenizer?.IsSpecial(ids[i]) != true || rest.StartsWith(tokenizer.IdToToken(ids[i]), StringComparison.Ordinal);
            var before = offsets._count;
            places[i] = Math.Min(isShown ? offsets.Next(ids[i], rest) : before, length);
            for (; before < offsets._count && rest.Length > 0; before++)
                rest = rest[(rest.Length > 1 && char.IsSurrogatePair(rest[0], rest[1]) ? 2 : 1)..];
        }

        return places;
    }

    /// <summary>The place of the next token of the output.</summary>
    public int Next(int id) => Next(id, null);

    // text: what is returned from here on, as far as it is known.
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

    // Counts what is whole, and keeps the rest.
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
