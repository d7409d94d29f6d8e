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
/// </summary>
internal static unsafe class CpuParallel
{
    private struct Job
    {
        public delegate*<void*, long, long, void> Run;
        public void* Kernel;

        /// <summary>A GCHandle of the first exception, or zero.</summary>
        public IntPtr Failure;
    }

    /// <summary>Cuts [0, count) into one range per thread, none smaller than <paramref name="grain"/>, and waits for all.</summary>
    public static void For<TKernel>(TKernel kernel, long count, long grain)
        where TKernel : unmanaged, IRangeKernel
    {
        if (count <= 0)
            return;
        if (count <= grain)
        {
            kernel.Run(0, count);
            return;
        }

        var job = new Job { Run = &Invoke<TKernel>, Kernel = &kernel };
        var status = TorchShim.torch_parallel_for(0, count, grain, &Enter, &job);
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

    [UnmanagedCallersOnly]
    private static void Enter(long begin, long end, void* context)
    {
        var job = (Job*)context;
        try
        {
            job->Run(job->Kernel, begin, end);
        }
        catch (Exception exception)
        {
            // No exception may cross the native frames of the thread pool: the first one travels by handle.
            var handle = GCHandle.Alloc(exception);
            if (Interlocked.CompareExchange(ref job->Failure, GCHandle.ToIntPtr(handle), IntPtr.Zero) != IntPtr.Zero)
                handle.Free();
        }
    }
}
