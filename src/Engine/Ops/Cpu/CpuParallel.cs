using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using LocalLlm.Interop;
using TorchSharp;

namespace LocalLlm.Ops.Cpu;

/// <summary>Work that can be cut into ranges of independent items.</summary>
internal interface IRangeKernel
{
    /// <summary>Computes items <paramref name="begin"/> (inclusive) to <paramref name="end"/> (exclusive).</summary>
    void Run(long begin, long end);
}

/// <summary>
/// Runs a kernel on libtorch's own threads. A second pool beside libtorch's would fight it for the cores.
/// Each thread takes pieces of a range of its own, front to back, and then helps those that are behind: threads whose core is shared with
/// another program, or whose items took longer, do less. Who computes an item changes no bit of it.
/// </summary>
internal static unsafe class CpuParallel
{
    // Of a thread's range: many, so that little is left to wait for at the end; few, because taking one costs some 50 ns.
    private const int PiecesPerRange = 8;

    private struct Job
    {
        public delegate*<void*, long, long, void> Run;
        public void* Kernel;
        public WorkRange* Ranges;
        public int RangeCount;
        public long Piece;

        /// <summary>A GCHandle of the first exception, or zero.</summary>
        public IntPtr Failure;
    }

    // Counters that share a line, or a pair of lines that are fetched together, would be passed back and forth.
    [StructLayout(LayoutKind.Sequential, Size = 128)]
    private struct WorkRange
    {
        /// <summary>The first item that nobody has taken; past the end when all are.</summary>
        public long Next;

        public long End;
    }

    /// <summary>Computes [0, count) on as many threads as each have <paramref name="grain"/> items at least, and waits for all.</summary>
    public static void For<TKernel>(TKernel kernel, long count, long grain)
        where TKernel : unmanaged, IRangeKernel
    {
        if (count <= 0)
            return;
        var threads = count <= grain ? 1 : (int)Math.Min(ThreadCount, (count + grain - 1) / grain);
        if (threads == 1)
        {
            kernel.Run(0, count);
            return;
        }

        var ranges = stackalloc WorkRange[threads];
        for (var thread = 0; thread < threads; thread++)
            ranges[thread] = new() { Next = count * thread / threads, End = count * (thread + 1) / threads };
        var piece = Math.Max(1, Math.Max(count / threads, grain) / PiecesPerRange);
        var job = new Job { Run = &Invoke<TKernel>, Kernel = &kernel, Ranges = ranges, RangeCount = threads, Piece = piece };
        var status = TorchShim.torch_parallel_for(0, threads, 1, &Enter, &job);
        if (job.Failure != IntPtr.Zero)
        {
            var handle = GCHandle.FromIntPtr(job.Failure);
            var failure = (Exception)handle.Target!;
            handle.Free();
            ExceptionDispatchInfo.Throw(failure);
        }

        if (status != 0)
            throw new InvalidOperationException("libtorch's parallel loop failed.");
    }

    /// <summary>Runs <paramref name="body"/> for 0 to <paramref name="count"/> - 1 and waits for all.</summary>
    public static void For(int count, Action<int> body)
    {
        var handle = GCHandle.Alloc(body);
        try
        {
            For(new DelegateKernel { Body = GCHandle.ToIntPtr(handle) }, count, grain: 1);
        }
        finally
        {
            handle.Free();
        }
    }

    /// <summary>Calls a function once on each of some threads, which gets its number and the one after, and waits for all.</summary>
    public static void OnEachThread(int threads, delegate* unmanaged<long, long, void*, void> call, void* context)
    {
        if (TorchShim.torch_parallel_for(0, threads, 1, call, context) != 0)
            throw new InvalidOperationException("libtorch's parallel loop failed.");
    }

    /// <summary>Threads that the loops may use.</summary>
    public static int ThreadCount => torch.get_num_threads();

    private struct DelegateKernel : IRangeKernel
    {
        public IntPtr Body;

        public readonly void Run(long begin, long end)
        {
            var body = (Action<int>)GCHandle.FromIntPtr(Body).Target!;
            for (var i = begin; i < end; i++)
                body((int)i);
        }
    }

    private static void Invoke<TKernel>(void* kernel, long begin, long end)
        where TKernel : unmanaged, IRangeKernel => Unsafe.AsRef<TKernel>(kernel).Run(begin, end);

    // begin: which of the ranges is this thread's own. More than one where libtorch has fewer threads than that.
    [UnmanagedCallersOnly]
    private static void Enter(long begin, long end, void* context)
    {
        var job = (Job*)context;
        try
        {
            for (var i = 0; i < job->RangeCount; i++)
                RunRange(job, (int)((begin + i) % job->RangeCount));
        }
        catch (Exception exception)
        {
            // No exception may cross the native frames of the thread pool: the first one travels by handle.
            var handle = GCHandle.Alloc(exception);
            if (Interlocked.CompareExchange(ref job->Failure, GCHandle.ToIntPtr(handle), IntPtr.Zero) != IntPtr.Zero)
                handle.Free();
        }
    }

    private static void RunRange(Job* job, int index)
    {
        var range = job->Ranges + index;
        while (Volatile.Read(ref range->Next) < range->End)
        {
            var first = Interlocked.Add(ref range->Next, job->Piece) - job->Piece;
            if (first >= range->End)
                return;
            job->Run(job->Kernel, first, Math.Min(first + job->Piece, range->End));
        }
    }
}
