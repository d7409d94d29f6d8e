using LocalLlm.Cluster.Tests;
using LocalLlm.Execution;
using LocalLlm.Execution.Cluster;
using LocalLlm.Execution.Wire;
using Microsoft.Extensions.Logging.Abstractions;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// Wraps an executor as a rank in a process of its own does: every step and result crosses a control stream, at whose other end a thread
/// computes.
/// </summary>
internal sealed class ClusteredExecutor : IStepExecutor
{
    private readonly ClusterMember _member;
    private readonly ClusterExecutor _cluster;
    private readonly StepWindow _inner;
    private readonly Task _computing;

    /// <param name="inner">The executor to wrap; this object owns it.</param>
    public ClusteredExecutor(IStepExecutor inner)
    {
        var layout = new ClusterLayout(new(1, 1, 1), HubHoldsRanks: false);
        var hello = new NodeHello { Version = "1", StepFormat = 1, Host = "here" };
        var network = new MemoryNetwork();
        var hub = new ClusterHub(layout, hello, network.Transport(), new(), NullLogger.Instance);
        var joining = Task.Run(() => hub.Join(null, CancellationToken.None));
        _member = ClusterMember.JoinAsync(layout, hello, network.Transport(), new(), CancellationToken.None).GetAwaiter().GetResult();
        joining.GetAwaiter().GetResult();
        _inner = new(inner);
        _member.Post(NodeMessage.Of(NodeMessageKind.Loaded, StepFormat.Encode(inner.Capabilities)));
        _cluster = new(layout, hub, null, hub.TakeLoaded());
        _computing = Task.Factory.StartNew(() => NodeWorker.Compute(_member, _inner), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    public ExecutorCapabilities Capabilities => _cluster.Capabilities;

    public bool Submit(SchedulerOutput step) => _cluster.Submit(step);

    public StepResult Complete() => _cluster.Complete();

    public void Abort(Exception reason) => _cluster.Abort(reason);

    public void Dispose()
    {
        _cluster.Dispose();
        Task.WhenAny(_computing).GetAwaiter().GetResult(); // waits without throwing: the task may fail with what ended the replica
        _member.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _inner.Dispose();
    }
}
