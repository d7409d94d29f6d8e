using LocalLlm.Interop;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Keeps the threads that compute for one executor each on a CPU of its own. libtorch keeps a team of threads for every thread that submits
/// work, so this is done on that thread.
/// </summary>
internal static unsafe class CpuPinning
{
    // Of the system's mask.
    private const int MaxCpus = 1024;

    private struct CpuList
    {
        public int* Cpus;
        public int Count;
    }

    /// <summary>
    /// Pins the threads that help the calling one, in order, and not that one itself: threads that .NET starts from it would stay on its
    /// CPU. The system leaves it the first CPU, for the others are taken. A CPU that was taken from the process meanwhile is skipped.
    /// </summary>
    /// <param name="cpus">A CPU for each thread; the first is that of the calling one.</param>
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
        // All of them on one thread: libtorch has no other, or this one is itself part of a loop.
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
