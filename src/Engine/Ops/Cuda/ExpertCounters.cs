using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// How many tokens each expert of the layers has had, counted on the card by its kernels. A stream of its own brings the counts to the
/// host, so that nobody waits for the step that the card computes. All of it is created with the first layer's counts, in the largest step
/// that runs while the model is loaded, and freed with the device's operations.
/// </summary>
internal sealed unsafe class ExpertCounters(CudaDevice device) : IDisposable
{
    // Counts never move, as records of steps know where they are: what does not fit goes to another page.
    private const int PageCounts = 1 << 16;
    private const uint NonBlockingStream = 1;
    private readonly List<(Tensor Counts, int Used)> _pages = [];

    private readonly Dictionary<IExperts, Place> _places = new(ReferenceEqualityComparer.Instance);
    private readonly PinnedBuffer _host = new(device);
    private IntPtr _stream;

    /// <summary>
    /// Where the kernels count the tokens of a layer: [experts of the layer] uint64. The first call for a layer allocates.
    /// </summary>
    public ulong Of(IExperts experts)
    {
        if (!_places.TryGetValue(experts, out var place))
            _places.Add(experts, place = Allocate(experts.Total));
        return (ulong)_pages[place.Page].Counts.DataPointer() + ((ulong)place.First * sizeof(long));
    }

    /// <summary>Writes the counts of some layers; others than those that were counted here are left as they are.</summary>
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

    /// <summary>Sets all counts to zero, behind what the card computes now.</summary>
    public void Clear()
    {
        using var noGradients = inference_mode(); // as where they were allocated
        foreach (var (counts, _) in _pages)
            counts.zero_();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Nothing is under way: every read waits for its copy. After a fault of the card there is nothing left to wait for.
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

    // With room on the host for all pages, and the stream that fills it.
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
