using System.Buffers;
using System.Globalization;
using System.Text;

namespace LocalLlm.Tokenizers;

/// <summary>The end of the chain: collects the text.</summary>
internal sealed class TextCollector : TokenDecoder
{
    private readonly StringBuilder _text = new();

    public override void Push(ReadOnlySpan<char> token) => _text.Append(token);

    public override void Finish()
    {
        // This step holds nothing back.
    }

    /// <summary>The text since the last call.</summary>
    public string Take()
    {
        if (_text.Length == 0)
            return "";
        var result = _text.ToString();
        _text.Clear();
        return result;
    }
}

/// <summary>Without a decoder, tokens are joined by spaces.</summary>
internal sealed class SpaceJoiner : TokenDecoder
{
    private bool _first = true;

    public override void Push(ReadOnlySpan<char> token)
    {
        if (!_first)
            Next.Push(" ");
        _first = false;
        Next.Push(token);
    }
}

/// <summary>Letters of the byte alphabet → bytes → UTF-8 text; a malformed sequence becomes U+FFFD.</summary>
internal sealed class ByteLevelDecoder : TokenDecoder
{
    private readonly Decoder _utf8 = Encoding.UTF8.GetDecoder();
    private readonly List<byte> _bytes = [];

    public override void Push(ReadOnlySpan<char> token)
    {
        _bytes.Clear();
        ByteAlphabet.AppendBytes(token, _bytes);
        PushBytes(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_bytes));
    }

    public void PushBytes(ReadOnlySpan<byte> bytes) => Convert(bytes, flush: false);

    public override void Finish()
    {
        Convert([], flush: true);
        Next.Finish();
    }

    private void Convert(ReadOnlySpan<byte> bytes, bool flush)
    {
        // A byte gives at most one unit; an incomplete sequence from before adds at most three.
        var size = bytes.Length + 4;
        var rented = size > 256 ? ArrayPool<char>.Shared.Rent(size) : null;
        var buffer = rented ?? stackalloc char[256];
        _utf8.Convert(bytes, buffer, flush, out _, out var used, out _);
        if (used > 0)
            Next.Push(buffer[..used]);
        if (rented is not null)
            ArrayPool<char>.Shared.Return(rented);
    }
}

/// <summary>
/// Byte tokens such as <c>&lt;0xE4&gt;</c> → text. A run of them is decoded as a whole: if it is not valid UTF-8, every byte
/// becomes U+FFFD. The text of a run is therefore unknown until the run ends.
/// </summary>
internal sealed class ByteFallbackDecoder : TokenDecoder
{
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);
    private readonly List<byte> _run = [];

    /// <summary>The byte that a token stands for, or -1.</summary>
    public static int ByteOf(ReadOnlySpan<char> token) =>
        token.Length == 6 && token.StartsWith("<0x") && token[5] == '>'
        && byte.TryParse(token[3..5], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) ? value : -1;

    public override void Push(ReadOnlySpan<char> token)
    {
        if (ByteOf(token) is >= 0 and var value)
        {
            _run.Add((byte)value);
            return;
        }

        EndRun();
        Next.Push(token);
    }

    public override void Finish()
    {
        EndRun();
        Next.Finish();
    }

    private void EndRun()
    {
        if (_run.Count == 0)
            return;
        var bytes = _run.ToArray();
        _run.Clear();
        if (System.Text.Unicode.Utf8.IsValid(bytes))
        {
            Next.Push(Strict.GetString(bytes));
            return;
        }

        foreach (var _ in bytes)
            Next.Push("\uFFFD");
    }
}

/// <summary>Replaces matches of a pattern in each token.</summary>
internal sealed class ReplaceDecoder(Normalizer replace) : TokenDecoder
{
    public override void Push(ReadOnlySpan<char> token) => Next.Push(TextGrowth.Check(replace.Normalize(token.ToString()), ""));
}

/// <summary>After a fusing step: replaces a literal that may span several pushed stretches.</summary>
internal sealed class FusedReplaceDecoder(string literal, string content) : TokenDecoder
{
    private readonly StringBuilder _held = new();

    public override void Push(ReadOnlySpan<char> token)
    {
        var text = _held.Append(token).ToString();
        _held.Clear();
        var at = 0;
        while (text.AsSpan(at).IndexOf(literal, StringComparison.Ordinal) is >= 0 and var step)
        {
            Next.Push(text.AsSpan(at, step));
            Next.Push(content);
            at += step + literal.Length;
        }

        var keep = Math.Min(literal.Length - 1, text.Length - at);
        while (keep > 0 && !literal.StartsWith(text[^keep..], StringComparison.Ordinal))
            keep--;
        Next.Push(text.AsSpan(at, text.Length - at - keep));
        _held.Append(text, text.Length - keep, keep);
    }

    public override void Finish()
    {
        Next.Push(_held.ToString());
        Next.Finish();
    }
}

/// <summary>Removes up to a given number of one character from both ends of each token.</summary>
internal sealed class StripDecoder(string content, int start, int stop) : TokenDecoder
{
    public override void Push(ReadOnlySpan<char> token)
    {
        for (var i = 0; i < start && token.StartsWith(content, StringComparison.Ordinal); i++)
            token = token[content.Length..];
        for (var i = 0; i < stop && token.EndsWith(content, StringComparison.Ordinal); i++)
            token = token[..^content.Length];
        Next.Push(token);
    }
}

/// <summary>After a fusing step: removes up to a given number of one character from both ends of the whole text.</summary>
internal sealed class FusedStripDecoder(string content, int start, int stop) : TokenDecoder
{
    private int _startLeft = start;
    private int _held; // characters at the end that may be the last of the text

    public override void Push(ReadOnlySpan<char> token)
    {
        for (; _startLeft > 0 && !token.IsEmpty; _startLeft--)
        {
            if (!token.StartsWith(content, StringComparison.Ordinal))
            {
                _startLeft = 0;
                break;
            }

            token = token[content.Length..];
        }

        if (token.IsEmpty)
            return;
        var trailing = 0;
        while (token.EndsWith(content, StringComparison.Ordinal))
        {
            token = token[..^content.Length];
            trailing++;
        }

        if (!token.IsEmpty)
        {
            Release(_held);
            _held = 0;
            Next.Push(token);
        }

        _held += trailing;
        Release(_held - stop);
        _held = Math.Min(_held, stop);
    }

    private void Release(int count)
    {
        for (var i = 0; i < count; i++)
            Next.Push(content);
    }
}

/// <summary>SentencePiece's mark → a space; dropped from the first token unless no mark was put there.</summary>
internal sealed class MetaspaceDecoder(string replacement, bool keepFirst) : TokenDecoder
{
    private bool _first = true;

    /// <summary>After a fusing step there is only one token.</summary>
    public bool Fused { private get; init; }

    public override void Push(ReadOnlySpan<char> token)
    {
        Next.Push(token.ToString().Replace(replacement, _first && !keepFirst ? "" : " ", StringComparison.Ordinal));
        _first &= Fused;
    }
}
