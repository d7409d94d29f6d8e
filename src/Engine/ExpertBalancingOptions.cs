using System.Text.Json.Nodes;

namespace LocalLlm;

/// <summary>
/// Redundant experts chosen by measured load (vLLM's <c>enable_eplb</c> with its <c>eplb_config</c>). The busiest experts of a layer exist
/// several times, and experts are placed so that all ranks compute about as many rows. The placement is chosen again every
/// <see cref="StepInterval"/> steps.
/// </summary>
public sealed record ExpertBalancingOptions
{
    private const int UsualWindow = 1000;
    private const int UsualInterval = 3000;

    /// <summary>Copies of the busiest experts of a layer, over all ranks, beyond the model's own. 0: experts are only moved.</summary>
    public int NumRedundantExperts { get; init; }

    /// <summary>How many of the last <see cref="StepInterval"/> steps count as load.</summary>
    public int WindowSize { get; init; } = UsualWindow;

    /// <summary>Number of steps after which experts are placed again.</summary>
    public int StepInterval { get; init; } = UsualInterval;

    /// <summary>The JSON that <c>--eplb-config</c> takes.</summary>
    internal string ToJson() => new JsonObject
    {
        ["num_redundant_experts"] = NumRedundantExperts, ["window_size"] = WindowSize, ["step_interval"] = StepInterval,
    }.ToJsonString();
}
