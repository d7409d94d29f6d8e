using LocalLlm.Interop.Cuda;
using LocalLlm.Parallel;

namespace LocalLlm.Ops.Cuda;

/// <summary>Work recorded once and launched as a whole. Without it, launches dominate a step of a few rows.</summary>
internal sealed unsafe class CudaGraph : ICapturedGraph
{
    private const int RelaxedCapture = 2;
    private readonly CudaDevice _device;
    private readonly IntPtr _graph;
    private readonly IntPtr _executable;

    // The gates to pass at a launch, where the recorded work waits for other ranks.
    private readonly LaunchGate[] _gates;

    /// <summary>
    /// Records the work that <paramref name="body"/> queues on the device's stream, without running it. The body must neither wait nor
    /// allocate.
    /// </summary>
    public CudaGraph(CudaDevice device, Action body)
    {
        _device = device;
        device.Synchronize();
        CudaException.Check(CudaDriver.cuStreamBeginCapture_v2(device.Stream, RelaxedCapture), "beginning a graph");
        IntPtr graph;
        device.RecordedGates = [];
        try
        {
            body();
            _gates = [.. device.RecordedGates];
        }
        catch
        {
            // End the capture to make the stream usable again.
            if (CudaDriver.cuStreamEndCapture(device.Stream, &graph) == 0 && graph != IntPtr.Zero)
                _ = CudaDriver.cuGraphDestroy(graph);
            throw;
        }
        finally
        {
            device.RecordedGates = null;
        }

        CudaException.Check(CudaDriver.cuStreamEndCapture(device.Stream, &graph), "recording a graph");
        _graph = graph;
        IntPtr executable;
        try
        {
            CudaException.Check(CudaDriver.cuGraphInstantiateWithFlags(&executable, graph, 0), "preparing a graph");
            _executable = executable;
            CudaException.Check(CudaDriver.cuGraphUpload(executable, device.Stream), "uploading a graph");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Launch()
    {
        foreach (var gate in _gates)
            gate.Pass();
        CudaException.Check(CudaDriver.cuGraphLaunch(_executable, _device.Stream), "launching a graph");
        foreach (var gate in _gates)
            gate.Pass();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _ = CudaDriver.cuStreamSynchronize(_device.Stream);
        if (_executable != IntPtr.Zero)
            _ = CudaDriver.cuGraphExecDestroy(_executable);
        _ = CudaDriver.cuGraphDestroy(_graph);
    }
}
