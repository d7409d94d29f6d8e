namespace LocalLlm.Tokenizers;

/// <summary>The bytes of every token, in one array.</summary>
internal sealed class TokenBytes
{
    private readonly byte[] _bytes;
    private readonly int[] _starts;

    public TokenBytes(int size, Func<int, string> text, DecoderPipeline decoder)
    {
        var bytes = new List<byte>(8 * size);
        _starts = new int[size + 1];
        for (var id = 0; id < size; id++)
        {
            decoder.AppendBytes(text(id), bytes);
            _starts[id + 1] = bytes.Count;
        }

        _bytes = [.. bytes];
    }

    public ReadOnlySpan<byte> this[int id] => _bytes.AsSpan(_starts[id].._starts[id + 1]);
}
