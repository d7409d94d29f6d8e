using System.Runtime.CompilerServices;
using LocalLlm.Execution;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// Runs every engine of this project on another executor if <c>LOCALLLM_TEST_EXECUTOR</c> names one: <c>serializing</c>, <c>delayed</c>,
/// <c>ahead</c>, <c>process</c>, or several ranks (<see cref="RankLayout"/>).
/// </summary>
internal static class SuiteExecutor
{
    public const string Variable = "LOCALLLM_TEST_EXECUTOR";

    /// <summary>Whether steps are submitted before the tokens of earlier steps are known.</summary>
    public static bool RunsAhead => Environment.GetEnvironmentVariable(Variable) == "ahead";

    /// <summary>
    /// If steps run in another process, skips a test of what stays in this one: a registered device or family, progress, a logger.
    /// </summary>
    public static void SkipInAnotherProcess()
    {
        if (Environment.GetEnvironmentVariable(Variable) == "process")
            Xunit.Assert.Skip("steps run in another process, which knows nothing of this test's device, family, progress or logger");
    }

    /// <summary>Names the variable that, set to <c>fake</c>, has <see cref="Ops.FakeNccl"/> connect ranks on one GPU.</summary>
    public const string NcclVariable = "LOCALLLM_TEST_NCCL";

    /// <summary>
    /// Names the variable that, set to <c>ngram</c>, turns on drafts in every engine that <see cref="LoadAsync"/> and
    /// <see cref="Engine.TinyEngine"/> load.
    /// </summary>
    public const string SpeculationVariable = "LOCALLLM_TEST_SPECULATION";

    /// <summary>Whether every engine speculates.</summary>
    public static bool Speculates => Speculation is not null;

    /// <summary>How an engine speculates if its test does not set that; null: not at all.</summary>
    public static SpeculationOptions? Speculation => Environment.GetEnvironmentVariable(SpeculationVariable) switch
    {
        null or "" => null,
        "ngram" => Ngram,
        var method => throw new InvalidOperationException($"{SpeculationVariable} is '{method}'; allowed: ngram"),
    };

    /// <summary>Drafts wherever a single token occurred before.</summary>
    public static SpeculationOptions Ngram { get; } = new() { Method = "ngram", NumSpeculativeTokens = 4, PromptLookupMax = 4, PromptLookupMin = 1 };

    [ModuleInitializer]
    internal static void Choose()
    {
        if (Environment.GetEnvironmentVariable(NcclVariable) == "fake")
        {
            Environment.SetEnvironmentVariable(LocalLlm.Ops.Cuda.Ranks.GpuRanks.NoOwnKernelsVariable, "1");
            LocalLlm.Interop.Cuda.NcclLibrary.Use(Ops.FakeNccl.Library);
        }

        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } name)
            StepExecutorFactory.Default = Create(name);
    }

    /// <summary>Loads an engine with the speculation that this run of the suite uses, unless the test sets its own.</summary>
    public static Task<LlmEngine> LoadAsync(EngineOptions options, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default) =>
        LlmEngine.LoadAsync(options with { Speculation = options.Speculation ?? Speculation }, progress, cancellationToken);

    /// <summary>Creates the factory of an executor by its name.</summary>
    public static IStepExecutorFactory Create(string name) => name switch
    {
        "serializing" => new DecoratingFactory(inner => new SerializingExecutor(inner)),
        "delayed" => new DecoratingFactory(inner => new DelayedExecutor(inner)),
        "ahead" => new DecoratingFactory(inner => new AheadExecutor(inner)),
        "process" => new ProcessExecutorFactory(),
        _ when RankLayout.Find(name) is { } layout => new RankLayoutFactory(layout),
        var other => throw new InvalidOperationException($"{Variable} is '{other}'; allowed: serializing, delayed, ahead, process, tp2, pp3, tp2pp2, dp2 and the like"),
    };
}
