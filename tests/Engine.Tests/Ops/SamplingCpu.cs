using System.Collections.Concurrent;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>For how many rows a device got whole logits to choose from, and for how many it got the best token.</summary>
internal readonly record struct SampledRows(int Whole, int Best);

/// <summary>
/// The CPU as a device that samples tokens itself, as a GPU does: inputs may refer to these tokens, and the host gets them when it asks. It
/// supports allowed, banned and masked tokens and draws from the whole distribution, but leaves out penalties and truncation.
/// </summary>
internal sealed class SamplingCpu : PrimitiveOps, IDeviceOps, ITokenSampler
{
    private readonly int _stepsInFlight;
    private readonly ConcurrentQueue<SampledRows>? _noted;
    private readonly Queue<int[]> _underWay = [];
    private int[] _ids = new int[256];

    /// <summary>Creates the device.</summary>
    /// <param name="stepsInFlight">Samplings that may be under way at once.</param>
    /// <param name="noted">Receives the rows of each sampling; null to record none.</param>
    public SamplingCpu(int stepsInFlight = 2, ConcurrentQueue<SampledRows>? noted = null)
        : base(new CpuOps()) => (_stepsInFlight, _noted, Features) = (stepsInFlight, noted, base.Features with { TokenSampler = this });

    public new DeviceFeatures Features { get; }

    /// <summary>Number of inputs that the host did not know.</summary>
    public int NumFed { get; private set; }

    /// <summary>Number of ids that another device has sampled.</summary>
    public int NumKept { get; private set; }

    /// <summary>Number of samplings so far.</summary>
    public int NumSampled { get; private set; }

    /// <summary>Max number of samplings that were under way at once.</summary>
    public int MaxUnderWay { get; private set; }

    /// <summary>The number of the sampling that throws.</summary>
    public int? FailingSampling { get; set; }

    public new Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata)
    {
        var ids = inputIds.ToArray();
        for (var i = 0; i < ids.Length; i++)
        {
            if (ids[i] >= 0)
                continue;
            NumFed++;
            ids[i] = Math.Max(0, _ids[-1 - ids[i]]);
        }

        return base.BeginStep(ids, metadata);
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
        if (NumSampled++ == FailingSampling)
            throw new InvalidOperationException("this sampling fails");
        var (whole, all) = (batch.Draws.Count, best is null ? batch.Draws.Count : (int)best.size(0));
        Assert.Equal(whole == 0, logits is null);
        _noted?.Enqueue(new(whole, all - whole));
        var ids = best?.data<int>().ToArray() ?? new int[all];
        if (logits is not null)
        {
            var (values, width) = (logits.to(float32).data<float>().ToArray(), (int)logits.size(1));
            for (var row = 0; row < whole; row++)
                ids[best is null ? row : batch.Rows.Span[row]] = Choose(values.AsSpan(row * width, width), batch, row);
        }

        ids.CopyTo(_ids, 0);
        _underWay.Enqueue(ids);
        MaxUnderWay = Math.Max(MaxUnderWay, _underWay.Count);
        Assert.InRange(_underWay.Count, 1, _stepsInFlight);
    }

    public void EndSample(Span<int> ids) => _underWay.Dequeue().CopyTo(ids);

    public Tensor Sampled(int rows) => tensor(_ids.AsSpan(0, rows).ToArray()).view(rows, 1);

    public void Reserve(int rows) => Array.Resize(ref _ids, Math.Max(rows, _ids.Length));

    public void Keep(Tensor ids, int firstRow)
    {
        ids.data<int>().ToArray().CopyTo(_ids, firstRow);
        NumKept += (int)ids.size(0);
    }

    private static int Choose(Span<float> logits, SamplingBatch batch, int row)
    {
        var (draw, edits) = (batch.Draws.Span[row], batch.Edits.Span[row]);
        var data = batch.Data.Span;
        for (var id = 0; id < logits.Length; id++)
        {
            var isMasked = edits.MaskWords > 0 && (data[edits.MaskStart + (id / 32)] >> (id % 32) & 1) == 0;
            if (isMasked || (edits.AllowedCount >= 0 && !data.Slice(edits.AllowedStart, edits.AllowedCount).Contains(id)))
                logits[id] = float.NegativeInfinity;
        }

        foreach (var banned in data.Slice(edits.BannedStart, edits.BannedCount))
            logits[banned] = float.NegativeInfinity;
        var best = logits[0];
        foreach (var logit in logits)
        {
            if (!(logit < float.PositiveInfinity))
                return ITokenSampler.NonFiniteRow;
            best = Math.Max(best, logit);
        }

        if (draw.InverseTemperature == 0)
            return logits.IndexOf(best);
        var weights = new double[logits.Length];
        for (var id = 0; id < weights.Length; id++)
            weights[id] = Math.Exp((logits[id] - best) * draw.InverseTemperature);
        var left = draw.Uniform * weights.Sum();
        var chosen = 0;
        while (chosen < weights.Length - 1 && (left -= weights[chosen]) >= 0)
            chosen++;
        return chosen;
    }
}
