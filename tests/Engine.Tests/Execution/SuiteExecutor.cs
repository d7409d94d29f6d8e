using System.Runtime.CompilerServices;
using LocalLlm.Execution;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// Runs every engine of this project on another executor where <c>LOCALLLM_TEST_EXECUTOR</c> says so: <c>serializing</c>, <c>delayed</c> or
/// <c>process</c>.
/// </summary>
internal static class SuiteExecutor
{
    public const string Variable = "LOCALLLM_TEST_EXECUTOR";

    /// <summary>Whether steps run in another process.</summary>
    public static bool IsProcess => Environment.GetEnvironmentVariable(Variable) == "process";

    [ModuleInitializer]
    internal static void Choose() => StepExecutorFactory.Default = Environment.GetEnvironmentVariable(Variable) switch
    {
        null or "" => StepExecutorFactory.Default,
        "serializing" => new DecoratingFactory(inner => new SerializingExecutor(inner)),
        "delayed" => new DecoratingFactory(inner => new DelayedExecutor(inner)),
        "process" => new ProcessExecutorFactory(),
        var other => throw new InvalidOperationException($"{Variable} is '{other}'; allowed: serializing, delayed, process"),
    };
}
