using System.Diagnostics;
using LocalLlm.Interop;
using LocalLlm.Interop.Mpi;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.ExecutorHost;

/// <summary>
/// Compares what the processes of one mpirun compute together with what threads compute, bit by bit. Prints one line for each rank.
/// </summary>
internal static class MpiChecks
{
    private const int Repeats = 2000;

    // Sizes below and above the one from which ranks add slices; the last ones are not multiples of the number of ranks.
    private static readonly int[] Sizes = [1, 64, 8_190, 8_192, 65_536, 100_003];

    public static int Run(IReadOnlyList<string> checks)
    {
        TorchLibrary.EnsureLoaded();
        using var noGradients = inference_mode();
        using var scope = NewDisposeScope();
        var world = MpiWorld.Join();
        using var group = new MpiCollectives(world, world.Split(0), world.Rank, world.Size);
        foreach (var check in checks)
        {
            switch (check)
            {
                case "sums":
                    Sums(group, ScalarType.Float32);
                    Sums(group, ScalarType.BFloat16);
                    break;
                case "gathers":
                    Gathers(group);
                    break;
                case "links":
                    Links(world);
                    break;
                case "times":
                    Times(group);
                    break;
                case "abort":
                    Abort(group);
                    break;
                case "die" when world.Rank == world.Size - 1:
                    Environment.FailFast("a rank dies");
                    break;
                default:
                    throw new ArgumentException($"There is no check named {check}.");
            }
        }

        Console.WriteLine($"rank {world.Rank} of {world.Size}: {string.Join(", ", checks)} ok");
        if (!checks.Contains("abort"))
            MpiWorld.Leave();
        return 0;
    }

    private static void Sums(MpiCollectives group, ScalarType type)
    {
        foreach (var size in Sizes)
        {
            var parts = Enumerable.Range(0, group.WorldSize).Select(rank => Part(rank, size, type)).ToArray();
            var threads = ThreadCollectives.Create(group.WorldSize);
            var sums = new Tensor[group.WorldSize];
            var ranks = threads.Select((thread, rank) => Task.Factory.StartNew(
                () =>
                {
                    using var noGradients = inference_mode();
                    sums[rank] = thread.AllReduce(parts[rank].clone());
                },
                CancellationToken.None,
                TaskCreationOptions.LongRunning,
                TaskScheduler.Default)).ToArray();
            Task.WaitAll(ranks);
            Same(sums[0], group.AllReduce(parts[group.Rank].clone()), $"sum of {size} {type}");
            var residual = Part(9, size, type).reshape(1, size);
            var expected = residual + sums[0];
            group.AddAllReduced(residual, parts[group.Rank].clone().reshape(1, size));
            Same(expected, residual, $"residual of {size} {type}");
        }
    }

    private static void Gathers(MpiCollectives group)
    {
        var parts = Enumerable.Range(0, group.WorldSize).Select(rank => Part(rank, 60, ScalarType.Float32).reshape(5, 12)).ToArray();
        foreach (var dimension in (int[])[0, 1])
            Same(cat(parts, dimension), group.AllGather(parts[group.Rank].clone(), dimension), $"gather along {dimension}");
    }

    // A ring: every rank sends more than MPI buffers before any rank receives.
    private static void Links(MpiWorld world)
    {
        const int rows = 300;
        const int width = 4_096;
        var (next, previous) = ((world.Rank + 1) % world.Size, (world.Rank + world.Size - 1) % world.Size);
        using var toNext = new MpiPipelineLink(world, next);
        using var toPrevious = new MpiPipelineLink(world, previous);
        for (var step = 0; step < 5; step++)
        {
            toNext.Send(Part(world.Rank + step, rows * width, ScalarType.Float32).reshape(rows, width));
            Same(Part(previous + step, rows * width, ScalarType.Float32).reshape(rows, width), toPrevious.Receive(rows, width, ScalarType.Float32), "link");
        }

        // Every rank must have received before any rank ends.
        using var group = new MpiCollectives(world, world.Split(0), world.Rank, world.Size);
        group.AllReduce(zeros(1));
    }

    private static void Times(MpiCollectives group)
    {
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            foreach (var bytes in (int[])[8 << 10, 64 << 10, 1 << 20])
            {
                using var scope = NewDisposeScope();
                var part = Part(group.Rank, bytes / (type == ScalarType.Float32 ? sizeof(float) : sizeof(ushort)), type);
                var times = new double[Repeats];
                for (var i = 0; i < Repeats; i++)
                {
                    var begin = Stopwatch.GetTimestamp();
                    group.AllReduce(part);
                    times[i] = Stopwatch.GetElapsedTime(begin).TotalMicroseconds;
                    part.zero_();
                }

                Array.Sort(times);
                if (group.Rank == 0)
                    Console.WriteLine(FormattableString.Invariant($"{type} {bytes >> 10} KiB: p50 {times[Repeats / 2]:F1}, p99 {times[Repeats * 99 / 100]:F1} us"));
            }
        }
    }

    // Rank 0 waits for ranks that do not come; a timer's thread aborts the wait.
    private static void Abort(MpiCollectives group)
    {
        if (group.Rank > 0)
        {
            Thread.Sleep(TimeSpan.FromSeconds(2));
            return;
        }

        using var timer = new Timer(_ => group.Abort(new InvalidOperationException("given up")), null, 200, Timeout.Infinite);
        var begin = Stopwatch.GetTimestamp();
        try
        {
            group.AllReduce(zeros(8));
        }
        catch (RankFailedException) when (Stopwatch.GetElapsedTime(begin) < TimeSpan.FromSeconds(1))
        {
            return;
        }

        throw new InvalidOperationException("The abort did not end the wait.");
    }

    private static Tensor Part(int rank, int size, ScalarType type)
    {
        var random = new Random(rank);
        var values = new float[size];
        for (var i = 0; i < size; i++)
            values[i] = (float)((random.NextDouble() - 0.5) * Math.Pow(10, random.Next(-3, 4)));
        return tensor(values).to(type);
    }

    private static void Same(Tensor expected, Tensor found, string what)
    {
        if (!expected.contiguous().bytes.SequenceEqual(found.contiguous().bytes))
            throw new InvalidOperationException($"The {what} has other bits.");
    }
}
