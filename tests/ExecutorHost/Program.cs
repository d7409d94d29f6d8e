using System.Buffers.Binary;
using System.Text.Json;
using LocalLlm;
using LocalLlm.Execution;
using LocalLlm.Execution.Wire;
using LocalLlm.ExecutorHost;
using LocalLlm.Sampling;
using LocalLlm.Tokenizers;

if (args is ["mpi", ..])
{
    // Ranks of one mpirun: checks that MPI computes what threads compute.
    return MpiChecks.Run(args[1..]);
}

if (args is [var model])
{
    // Prints which methods a request runs, from GenerateAsync to its first token.
    await using var engine = await LlmEngine.LoadAsync(new() { ModelPath = model, Device = "cpu", Dtype = "float32" });
    using var methods = new MethodListener();
    methods.WaitForFirst();
    await foreach (var piece in engine.GenerateAsync("Once upon a time", new SamplingParams { Temperature = 0, MaxTokens = 1 }))
        ArgumentOutOfRangeException.ThrowIfNotEqual(piece.TokenIds.Count, 1);
    foreach (var name in methods.Names())
        Console.WriteLine(name);
    return 0;
}

// An executor behind standard streams: reads the engine's options, writes the capabilities, then reads steps and writes their results.
using var input = Console.OpenStandardInput();
using var output = Console.OpenStandardOutput();
Console.SetOut(Console.Error); // nothing else may write to the stream of results
var options = JsonSerializer.Deserialize<EngineOptions>(Read()!)!;
var folder = options.TokenizerPath ?? options.ModelPath;
var tokenizer = options.SkipTokenizerInit ? null : Tokenizer.Load(folder);
IStepExecutor executor;
try
{
    using var loader = new ModelLoader(options);
    executor = loader.Load(EngineGrammars.Create(tokenizer), null, CancellationToken.None);
}
catch (EngineException refusal)
{
    // Writes an empty message instead of the capabilities, then the reason.
    Write([]);
    Write(JsonSerializer.SerializeToUtf8Bytes(SequenceFailure.From(refusal)));
    return 0;
}

using var owned = executor;
Write(StepFormat.Encode(executor.Capabilities with { MaxStepsInFlight = 1, FeedsSampledTokens = false }));
while (Read() is { } message)
{
    executor.Submit(StepFormat.DecodeStep(message));
    Write(StepFormat.Encode(executor.Complete()));
}

return 0;

byte[]? Read()
{
    var length = new byte[sizeof(int)];
    if (input.ReadAtLeast(length, length.Length, throwOnEndOfStream: false) < length.Length)
        return null;
    var message = new byte[BinaryPrimitives.ReadInt32LittleEndian(length)];
    input.ReadExactly(message);
    return message;
}

void Write(byte[] message)
{
    var length = new byte[sizeof(int)];
    BinaryPrimitives.WriteInt32LittleEndian(length, message.Length);
    output.Write(length);
    output.Write(message);
    output.Flush();
}
