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
/// Runs a kernel on libtorch's own threads: a second thread pool would compete with libtorch's for the cores.
/// Each thread takes pieces of a range of its own, front to back, and then helps threads that are behind. Threads that share their core
/// with another program, or whose items take longer, do less. Which thread computes an item does not change a bit of it.
/// </summary>
internal static unsafe class CpuParallel
{
    // Pieces of a thread's range: many leave little to wait for at the end, but taking one costs some 50 ns.
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

    // 128 bytes apart: cores would pass counters in one cache line, or in two lines that are fetched together, back and forth.
    [StructLayout(LayoutKind.Sequential, Size = 128)]
    private struct WorkRange
    {
        /// <summary>The first item that no thread has taken; past the end if all are taken.</summary>
        public long Next;

        public long End;
    }

    /// <summary>Computes [0, count) and waits. Uses as many threads as get at least <paramref name="grain"/> items each.</summary>
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

    /// <summary>Calls a function once on each of some threads, with the thread's number and the next number, and waits for all.</summary>
    public static void OnEachThread(int threads, delegate* unmanaged<long, long, void*, void> call, void* context)
    {
        if (TorchShim.torch_parallel_for(0, threads, 1, call, context) != 0)
            throw new InvalidOperationException("libtorch's parallel loop failed.");
    }

    /// <summary>Number of threads that the loops may use.</summary>
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

    // begin: the index of this thread's own range. A thread gets several ranges if libtorch has fewer threads.
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
            // No exception may cross the native frames of the thread pool: a handle carries the first one to the caller.
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
