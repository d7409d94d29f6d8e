using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// The number of tokens of each expert of the layers, counted by kernels on the card. A separate stream copies the counts to the host, so a
/// read does not wait for the step in flight. Everything is allocated with the first layer's counts, in the largest step, which runs while
/// the model is loaded, and freed with the device's operations.
/// </summary>
internal sealed unsafe class ExpertCounters(CudaDevice device) : IDisposable
{
    // Counts never move, since recorded steps hold their addresses: counts that do not fit go to another page.
    private const int PageCounts = 1 << 16;
    private const uint NonBlockingStream = 1;
    private readonly List<(Tensor Counts, int Used)> _pages = [];

    private readonly Dictionary<IExperts, Place> _places = new(ReferenceEqualityComparer.Instance);
    private readonly PinnedBuffer _host = new(device);
    private IntPtr _stream;

    /// <summary>
    /// Address of a layer's counts: [experts of the layer] uint64. The first call for a layer allocates them.
    /// </summary>
    public ulong Of(IExperts experts)
    {
        if (!_places.TryGetValue(experts, out var place))
            _places.Add(experts, place = Allocate(experts.Total));
        return (ulong)_pages[place.Page].Counts.DataPointer() + ((ulong)place.First * sizeof(long));
    }

    /// <summary>Writes the counts of some layers. Layers that are not counted here keep their values.</summary>
    /// <exception cref="CudaException">The card has failed.</exception>
    public void Read(IReadOnlyList<CountedExperts> layers)
    {
        if (_pages.Count == 0)
            return;
        var starts = new int[_pages.Count];
        var total = 0;
        for (var page = 0; page < _pages.Count; page++)
            (starts[page], total) = (total, total + _pages[page].Used);
        var all = (long*)_host.Memory;
        for (var page = 0; page < _pages.Count; page++)
        {
            var (counts, used) = _pages[page];
            CudaException.Check(
                CudaDriver.cuMemcpyDtoHAsync_v2(all + starts[page], (ulong)counts.DataPointer(), (nuint)used * sizeof(long), _stream), "copying the tokens of experts");
        }

        CudaException.Check(CudaDriver.cuStreamSynchronize(_stream), "copying the tokens of experts");
        foreach (var (experts, tokens) in layers)
        {
            if (experts is not null && _places.TryGetValue(experts, out var place))
                new Span<long>(all + starts[place.Page] + place.First, tokens.Length).CopyTo(tokens);
        }
    }

    /// <summary>Resets all counts to zero, after the work in flight.</summary>
    public void Clear()
    {
        using var noGradients = inference_mode(); // as where they were allocated
        foreach (var (counts, _) in _pages)
            counts.zero_();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // No copy is under way: every read waits for its own. After a fault of the card there is nothing left to wait for.
        if (_stream != IntPtr.Zero)
            _ = CudaDriver.cuStreamDestroy_v2(_stream);
        _stream = IntPtr.Zero;
        _host.Dispose();
        foreach (var (counts, _) in _pages)
            counts.Dispose();
        _pages.Clear();
        _places.Clear();
    }

    private Place Allocate(int count)
    {
        using var noGradients = inference_mode();
        if (_pages.Count == 0 || _pages[^1].Used + count > _pages[^1].Counts.numel())
            AddPage(Math.Max(PageCounts, count));
        var (counts, used) = _pages[^1];
        _pages[^1] = (counts, used + count);
        return new(_pages.Count - 1, used);
    }

    // Also allocates host memory for all pages, and the stream that copies to it.
    private void AddPage(int length)
    {
        if (_stream == IntPtr.Zero)
        {
            IntPtr stream;
            CudaException.Check(CudaDriver.cuStreamCreateWithPriority(&stream, NonBlockingStream, 0), "cuStreamCreateWithPriority");
            _stream = stream;
        }

        _host.Reserve((nuint)(_pages.Sum(page => page.Counts.numel()) + length) * sizeof(long));
        _pages.Add((zeros(length, ScalarType.Int64, device.Torch).DetachFromDisposeScope(), 0));
    }

    private sealed record Place(int Page, int First);
}
