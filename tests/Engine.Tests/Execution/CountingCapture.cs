using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Execution;

/// <summary>Notes the sizes of steps and counts replays; a replay leaves the recorded results as they were.</summary>
internal sealed class CountingCapture : IGraphCapture
{
    /// <summary>The rows of every step that was begun.</summary>
    public List<int> Sizes { get; } = [];

    /// <summary>Number of replays.</summary>
    public int Launches { get; private set; }

    /// <summary>The maximum number of rows for which products by 8-bit floats are recorded.</summary>
    public int MaxFp8Rows { get; init; }

    public long Version => 0;

    public int MaxRows(IWeightMatrix matrix, ScalarType type) => matrix is Fp8Weight ? MaxFp8Rows : int.MaxValue;

    public Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata, int rows)
    {
        Sizes.Add(rows);
        return zeros(rows, ScalarType.Int32);
    }

    public ICapturedGraph Capture(Action body)
    {
        body();
        return new Graph(this);
    }

    private sealed class Graph(CountingCapture owner) : ICapturedGraph
    {
        public void Launch() => owner.Launches++;

        public void Dispose()
        {
        }
    }
}
