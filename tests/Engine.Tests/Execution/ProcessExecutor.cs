using System.Buffers.Binary;
using System.Diagnostics;
using System.Text.Json;
using LocalLlm.Execution;
using LocalLlm.Execution.Wire;
using LocalLlm.Sampling;

namespace LocalLlm.Tests.Execution;

/// <summary>Starts tests/ExecutorHost: the device, the model, the sampling state and the grammars are in another process.</summary>
/// <param name="created">Receives the executor.</param>
internal sealed class ProcessExecutorFactory(Action<ProcessExecutor>? created = null) : IStepExecutorFactory
{
    public IExecutorLoader Open(EngineOptions options) => new WrappedLoader(new ModelLoader(options), (_, cancellationToken) =>
    {
        var executor = new ProcessExecutor(options, cancellationToken);
        created?.Invoke(executor);
        return executor;
    });
}

/// <summary>Speaks the step format over the standard streams of a child process. Each message is preceded by its length.</summary>
internal sealed class ProcessExecutor : IStepExecutor
{
    private readonly Process _process;
    private readonly CancellationTokenRegistration _cancellation;

    public ProcessExecutor(EngineOptions options, CancellationToken cancellationToken)
    {
        var host = Path.Combine(AppContext.BaseDirectory, "LocalLlm.ExecutorHost.dll");
        _process = Process.Start(new ProcessStartInfo("dotnet", [host]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        _cancellation = cancellationToken.Register(_process.Kill);
        try
        {
            Write(JsonSerializer.SerializeToUtf8Bytes(options with { LoggerFactory = null }));
            var capabilities = Read();
            if (capabilities.Length == 0)
                throw JsonSerializer.Deserialize<SequenceFailure>(Read())!.ToException();
            Capabilities = StepFormat.DecodeCapabilities(capabilities);
        }
        catch (Exception failure)
        {
            Dispose();
            if (failure is not IOException)
                throw;
            cancellationToken.ThrowIfCancellationRequested();
            throw new EngineException(EngineErrorKind.Environment, "The executor's process has ended while it loaded the model.", innerException: failure);
        }
    }

    public ExecutorCapabilities Capabilities { get; }

    public bool Submit(SchedulerOutput step)
    {
        Write(StepFormat.Encode(step));
        return true;
    }

    public StepResult Complete() => StepFormat.DecodeResult(Read());

    /// <summary>Ends the process at once.</summary>
    public void Kill() => _process.Kill();

    public void Dispose()
    {
        _cancellation.Dispose();
        try
        {
            // The host process ends when its input ends.
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The process has already ended.
        }

        _process.WaitForExit();
        _process.Dispose();
    }

    private void Write(byte[] message)
    {
        Span<byte> length = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(length, message.Length);
        var stream = _process.StandardInput.BaseStream;
        stream.Write(length);
        stream.Write(message);
        stream.Flush();
    }

    private byte[] Read()
    {
        Span<byte> length = stackalloc byte[sizeof(int)];
        var stream = _process.StandardOutput.BaseStream;
        stream.ReadExactly(length);
        var message = new byte[BinaryPrimitives.ReadInt32LittleEndian(length)];
        stream.ReadExactly(message);
        return message;
    }
}
