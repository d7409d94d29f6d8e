using LocalLlm.Interop.Cuda;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>
/// One rank's end of a communicator. The first call creates it. It is used on the device's thread and stream; any thread may abort it.
/// </summary>
/// <param name="source">Returns NCCL and the id that all ranks share; called when the device is known.</param>
/// <param name="rank">Number of this rank.</param>
/// <param name="size">Number of ranks.</param>
/// <param name="gates">Where ranks of this process wait for one another.</param>
internal sealed class NcclCommunicator(Func<(NcclLibrary Library, NcclLibrary.UniqueId Id)> source, int rank, int size, RankGates gates)
    : IDeviceBound, IDisposable
{
    // How long an abort waits for a call in progress before it aborts the communicator in spite of the call.
    private static readonly TimeSpan AbortPatience = TimeSpan.FromSeconds(1);

    private readonly Lock _calls = new();
    private readonly TaskCompletionSource _aborted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private NcclLibrary? _library;
    private NcclLibrary.UniqueId _id;
    private ICollectiveDevice? _device;
    private IntPtr _handle;
    private RankFailedException? _failure;
    private volatile Thread? _aborting;
    private bool _isDisposed;

    /// <summary>Queues work of a communicator on a stream.</summary>
    public delegate void Call(NcclLibrary library, IntPtr communicator, IntPtr stream);

    /// <summary>Number of this rank.</summary>
    public int Rank => rank;

    /// <summary>Number of ranks.</summary>
    public int Size => size;

    /// <summary>The device, once it is bound.</summary>
    public ICollectiveDevice Device => _device ?? throw new InvalidOperationException("The communicator has no device yet.");

    /// <summary>NCCL's name of a type.</summary>
    public static NcclType TypeOf(ScalarType type) => type switch
    {
        ScalarType.Float32 => NcclType.Float32,
        ScalarType.BFloat16 => NcclType.BFloat16,
        ScalarType.Float16 => NcclType.Float16,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not an activation type"),
    };

    /// <inheritdoc/>
    /// <exception cref="EngineException">Kind Environment: NCCL is missing.</exception>
    public void Bind(IDeviceOps ops) => Bind((ICollectiveDevice)ops);

    /// <inheritdoc cref="IDeviceBound.Bind"/>
    public void Bind(ICollectiveDevice device)
    {
        (_library, _id) = source();
        _device = device;
    }

    /// <summary>Queues work. Everything that the work needs must be allocated already.</summary>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    public void Run(Call call)
    {
        ThrowIfAborted();
        Connect();
        gates.Enter(Device);
        lock (_calls)
        {
            ThrowIfAborted();
            if (!Device.IsRecording)
                _library!.CheckAsync(_handle);
            call(_library!, _handle, Device.Stream);
        }

        gates.Leave(Device);
    }

    /// <summary>Ends all waits here, on the host and on the card. Callable from any thread.</summary>
    public void Abort(Exception reason)
    {
        var failure = RankFailedException.From(reason);
        if (Interlocked.CompareExchange(ref _failure, failure, null) is not null)
            return;
        gates.Close(failure);
        _aborted.TrySetResult();
        // NCCL ends its work at once, but then waits until the graphs with its work are destroyed. Other code destroys them, and this call
        // must not block it.
        _aborting = new(AbortHandle) { IsBackground = true, Name = "LocalLlm NCCL abort" };
        _aborting.Start();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        if (_failure is not null)
        {
            _aborting?.Join(AbortPatience);
            return;
        }

        lock (_calls)
        {
            if (Interlocked.Exchange(ref _handle, IntPtr.Zero) is var handle && handle != IntPtr.Zero)
                _library!.CommDestroy(handle);
        }
    }

    private void AbortHandle()
    {
        var isMine = _calls.TryEnter(AbortPatience);
        try
        {
            if (Interlocked.Exchange(ref _handle, IntPtr.Zero) is var handle && handle != IntPtr.Zero)
                _library!.CommAbort(handle);
        }
        finally
        {
            if (isMine)
                _calls.Exit();
        }
    }

    private void ThrowIfAborted()
    {
        if (Volatile.Read(ref _failure) is { } failure)
            throw new RankFailedException(failure.Message, failure.InnerException);
    }

    private void Connect()
    {
        if (_handle != IntPtr.Zero)
            return;
        if (Device.IsRecording)
            throw new InvalidOperationException("A rank must connect before it records a step.");
        // Once all ranks of this process are here, they wait for each other only inside NCCL.
        gates.Enter(Device);
        var connecting = Connecting(Device, _library!, size, _id, rank);
        if (Task.WaitAny(connecting, _aborted.Task) != 0)
        {
            var library = _library!;
            connecting.ContinueWith(
                late => library.CommAbort(late.Result), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion,
                TaskScheduler.Default);
            ThrowIfAborted();
        }

        var handle = connecting.GetAwaiter().GetResult();
        lock (_calls)
        {
            _handle = handle;
            if (_failure is not null)
                _library!.CommAbort(Interlocked.Exchange(ref _handle, IntPtr.Zero));
        }

        ThrowIfAborted();
    }

    // On a thread of its own: NCCL waits for all ranks, and nothing can end this wait if one of them never comes. The thread then stays
    // until the process ends.
    private static Task<IntPtr> Connecting(ICollectiveDevice device, NcclLibrary library, int size, NcclLibrary.UniqueId id, int rank)
    {
        var connected = new TaskCompletionSource<IntPtr>(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            try
            {
                device.UseOnThisThread();
                connected.SetResult(library.CommInitRank(size, id, rank));
            }
            catch (Exception failure)
            {
                connected.SetException(failure);
            }
        }) { IsBackground = true, Name = "LocalLlm NCCL connect" }.Start();
        return connected.Task;
    }
}
