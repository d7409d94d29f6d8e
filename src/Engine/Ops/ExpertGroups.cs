using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>The tokens of a step, grouped on the host by the experts that process them.</summary>
/// <param name="experts">Number of experts.</param>
internal sealed class ExpertGroups(int experts)
{
    private readonly int[] _starts = new int[experts + 1];
    private readonly int[] _next = new int[experts];
    private long[] _tokens = [];
    private long[] _places = [];

    /// <summary>Number of experts of each token in the step.</summary>
    public int PerToken { get; private set; }

    /// <summary>Sorts the choices by expert. Those of one expert stay in the order of the tokens.</summary>
    /// <param name="ids">[tokens, experts per token] integers.</param>
    public void Fill(Tensor ids)
    {
        using var onHost = ids.cpu();
        using var host = onHost.to(ScalarType.Int64);
        var chosen = host.data<long>();
        var (count, perToken) = ((int)ids.NumberOfElements, (int)ids.size(1));
        PerToken = perToken;
        if (_tokens.Length < count)
            (_tokens, _places) = (new long[count], new long[count]);
        Array.Clear(_starts);
        for (var place = 0; place < count; place++)
            _starts[chosen[place] + 1]++;
        for (var expert = 0; expert < experts; expert++)
        {
            _next[expert] = _starts[expert];
            _starts[expert + 1] += _starts[expert];
        }

        for (var place = 0; place < count; place++)
        {
            var at = _next[chosen[place]]++;
            (_tokens[at], _places[at]) = (place / perToken, place);
        }
    }

    /// <summary>Adds each expert's number of tokens.</summary>
    public void CountUp(long[] usage)
    {
        for (var expert = 0; expert < experts; expert++)
            usage[expert] += _starts[expert + 1] - _starts[expert];
    }

    /// <summary>An expert's number of tokens.</summary>
    public int CountOf(int expert) => _starts[expert + 1] - _starts[expert];

    /// <summary>
    /// The tokens of an expert, and the index of each choice among all [tokens · experts per token]. Valid until the next step.
    /// </summary>
    public (ReadOnlyMemory<long> Tokens, ReadOnlyMemory<long> Places) Of(int expert)
    {
        var range = _starts[expert].._starts[expert + 1];
        return (_tokens.AsMemory(range), _places.AsMemory(range));
    }

    /// <summary>As <see cref="Of(int)"/>, for every n-th of an expert's tokens.</summary>
    /// <param name="expert">The expert.</param>
    /// <param name="first">Index of the first token among those of the expert.</param>
    /// <param name="step">Distance from one token to the next.</param>
    public (long[] Tokens, long[] Places) Of(int expert, int first, int step)
    {
        var start = _starts[expert] + first;
        var count = Math.Max(0, (CountOf(expert) - first + step - 1) / step);
        var (tokens, places) = (new long[count], new long[count]);
        for (var i = 0; i < count; i++)
            (tokens[i], places[i]) = (_tokens[start + (i * step)], _places[start + (i * step)]);
        return (tokens, places);
    }
}
