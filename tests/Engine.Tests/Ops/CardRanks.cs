using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Ops.Cuda.Ranks;
using LocalLlm.Parallel;
using Xunit;

namespace LocalLlm.Tests.Ops;

/// <summary>One rank of a test, on its thread.</summary>
internal sealed record CardRank(int Rank, CudaOps Ops, ICollectives Tensor, IPipelineLink? Previous, IPipelineLink? Next)
{
    /// <summary>Waits for the card.</summary>
    public void Synchronize() => Ops.Card.Synchronize();

    /// <summary>All connections of this rank.</summary>
    public IEnumerable<IDeviceBound> Connections => ((object?[])[Tensor, Previous, Next]).OfType<IDeviceBound>();
}

/// <summary>Runs ranks on GPUs, each on its own thread, as the engine does.</summary>
internal static class CardRanks
{
    /// <summary>Numbers of cards that two ranks run on: one, and two where the machine has them.</summary>
    public static TheoryData<int> Cards => new() { 1, 2 };

    /// <summary>Devices for two ranks on the given number of cards; skips the test where the machine has fewer.</summary>
    public static string[] Pair(int cards)
    {
        Require(cards);
        return ["cuda:0", $"cuda:{cards - 1}"];
    }

    /// <summary>Skips the test where the machine has fewer cards.</summary>
    public static void Require(int cards)
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable() || CudaDevice.Probe()!.Value.Count < cards)
            Assert.Skip($"wants {cards} NVIDIA cards and a libtorch with CUDA");
    }

    /// <summary>Runs ranks that are connected as the engine connects them.</summary>
    public static T[] Run<T>(ParallelPlan plan, string[] devices, Func<CardRank, T> work)
    {
        var gpus = GpuRanks.TryCreate(plan, 0, devices)!;
        return Run(devices, [.. plan.Ranks.Select(place => (
            gpus.Tensor(place),
            place.Stage == 0 ? null : gpus.FindLink(place.Rank - plan.TensorParallel)?.Receiver,
            place.Stage == plan.PipelineParallel - 1 ? null : gpus.FindLink(place.Rank)?.Sender))], work);
    }

    /// <summary>Runs ranks with the given connections. When one rank fails, this aborts the others and throws the failure.</summary>
    public static T[] Run<T>(string[] devices, (ICollectives Tensor, IPipelineLink? Previous, IPipelineLink? Next)[] connections, Func<CardRank, T> work)
    {
        var results = new T[devices.Length];
        var failures = new Exception?[devices.Length];
        var threads = connections.Select((connection, index) => new Thread(() =>
        {
            try
            {
                var ops = (CudaOps)DeviceRegistry.Create(devices[index]);
                var rank = new CardRank(index, ops, connection.Tensor, connection.Previous, connection.Next);
                try
                {
                    foreach (var bound in rank.Connections)
                        bound.Bind(ops);
                    using var scope = TorchSharp.torch.NewDisposeScope();
                    results[index] = work(rank);
                }
                finally
                {
                    foreach (var bound in rank.Connections.OfType<IDisposable>())
                        bound.Dispose();
                    ops.Dispose();
                }
            }
            catch (Exception failure)
            {
                failures[index] = failure;
                foreach (var (tensor, previous, next) in connections)
                {
                    tensor.Abort(failure);
                    previous?.Abort(failure);
                    next?.Abort(failure);
                }
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        if ((failures.FirstOrDefault(failure => failure is not null and not RankFailedException) ?? failures.FirstOrDefault(failure => failure is not null)) is { } cause)
            throw new InvalidOperationException($"a rank failed: {cause.Message}", cause);
        return results;
    }
}

/// <summary>Comparisons of tensors.</summary>
internal static class TensorComparison
{
    /// <summary>Whether shape and every element are the same.</summary>
    public static bool SameAs(this TorchSharp.torch.Tensor one, TorchSharp.torch.Tensor other) =>
        one.shape.SequenceEqual(other.shape) && one.eq(other).all().item<bool>();
}
