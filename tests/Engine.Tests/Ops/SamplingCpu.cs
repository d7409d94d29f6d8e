using System.Collections.Concurrent;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>How many rows a device was given to choose from whole logits, and of how many it was given the best token.</summary>
internal readonly record struct SampledRows(int Whole, int Best);

/// <summary>
/// The CPU as a device that chooses tokens by itself and feeds them to the next step, as a GPU does: greedy rows, and draws at a temperature
/// alone.
/// </summary>
internal sealed unsafe class SamplingCpu(ConcurrentQueue<SampledRows>? noted = null) : PrimitiveOps(new CpuOps()), IDeviceOps, ITokenSampler
{
    private readonly Queue<int[]> _underWay = [];
    private int[] _latest = [];

    DeviceFeatures IDeviceOps.Features => Features with { TokenSampler = this };

    Tensor IDeviceOps.BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata)
    {
        var ids = inputIds.ToArray();
        for (var i = 0; i < ids.Length; i++)
        {
            if (ids[i] < 0)
                ids[i] = Math.Max(0, _latest[-1 - ids[i]]);
        }

        return BeginStep(ids, metadata);
    }

    public Tensor BestOfRanks(Tensor maxima, int ranks)
    {
        var all = maxima.view(ranks, -1, 2);
        var (values, of) = all.select(2, 0).max(0);
        var ids = all.select(2, 1).gather(0, of.unsqueeze(0)).squeeze(0).to(ScalarType.Int32);
        return ids.MaskedFill(values.isfinite().logical_not(), ITokenSampler.NonFiniteRow);
    }

    public void BeginSample(Tensor? logits, SamplingBatch batch, Tensor? best = null)
    {
        var (whole, all) = (batch.Draws.Count, best is null ? batch.Draws.Count : (int)best.size(0));
        noted?.Enqueue(new(whole, all - whole));
        if (batch.HasEdits || batch.HasCuts || (logits is null) != (whole == 0))
            throw new NotSupportedException("this device draws at a temperature alone");
        var ids = best?.data<int>().ToArray() ?? new int[all];
        if (logits is not null)
        {
            var values = logits.to(float32).data<float>().ToArray();
            var width = (int)logits.size(1);
            for (var row = 0; row < whole; row++)
                ids[best is null ? row : batch.Rows.Span[row]] = Choose(values.AsSpan(row * width, width), batch.Draws.Span[row]);
        }

        _latest = ids;
        _underWay.Enqueue(ids);
    }

    public void EndSample(Span<int> ids) => _underWay.Dequeue().CopyTo(ids);

    private static int Choose(ReadOnlySpan<float> row, TokenDraw draw)
    {
        var best = 0;
        for (var id = 0; id < row.Length; id++)
        {
            if (!(row[id] < float.PositiveInfinity))
                return ITokenSampler.NonFiniteRow;
            best = row[id] > row[best] ? id : best;
        }

        if (draw.InverseTemperature == 0)
            return best;
        var weights = new double[row.Length];
        for (var id = 0; id < row.Length; id++)
            weights[id] = Math.Exp((row[id] - row[best]) * draw.InverseTemperature);
        var left = draw.Uniform * weights.Sum();
        for (var id = 0; id < row.Length; id++)
        {
            left -= weights[id];
            if (left < 0)
                return id;
        }

        return best;
    }
}
