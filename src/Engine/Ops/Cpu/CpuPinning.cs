using LocalLlm.Interop;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Pins each thread that computes for an executor to a CPU of its own. libtorch keeps a team of threads for every thread that submits work,
/// so pinning runs on the submitting thread.
/// </summary>
internal static unsafe class CpuPinning
{
    // Size of the system's CPU mask.
    private const int MaxCpus = 1024;

    private struct CpuList
    {
        public int* Cpus;
        public int Count;
    }

    /// <summary>
    /// Pins the threads that help the calling thread, in order, but not the calling thread: threads that .NET starts from it would inherit
    /// its CPU. The system leaves the first CPU to it, since the others are busy. Skips a CPU that the process may no longer use.
    /// </summary>
    /// <param name="cpus">A CPU for each thread; the first is for the calling thread.</param>
    public static void PinHelpers(ReadOnlySpan<int> cpus)
    {
        fixed (int* pointer = cpus)
        {
            var list = new CpuList { Cpus = pointer, Count = Math.Min(cpus.Length, CpuParallel.ThreadCount) };
            if (list.Count > 1)
                CpuParallel.OnEachThread(list.Count, &Pin, &list);
        }
    }

    [System.Runtime.InteropServices.UnmanagedCallersOnly]
    private static void Pin(long begin, long end, void* context)
    {
        var list = (CpuList*)context;
        // One thread got the whole range: libtorch has no other thread, or this thread is itself part of a loop.
        if (begin == 0 || end != begin + 1)
            return;
        var cpu = list->Cpus[begin];
        if (cpu is < 0 or >= MaxCpus)
            return;
        const int bits = 64;
        var mask = stackalloc ulong[MaxCpus / bits];
        new Span<ulong>(mask, MaxCpus / bits).Clear();
        mask[cpu / bits] = 1UL << (cpu % bits);
        _ = LibC.sched_setaffinity(0, MaxCpus / 8, mask);
    }
}
