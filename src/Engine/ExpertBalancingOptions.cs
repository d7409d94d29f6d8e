using System.Text.Json.Nodes;

namespace LocalLlm;

/// <summary>
/// Redundant experts by measured load (vLLM's <c>enable_eplb</c> with its <c>eplb_config</c>): the busiest experts of a layer exist several
/// times, and experts lie so that all ranks compute about as many rows. Which, is chosen again after every <see cref="StepInterval"/>
/// steps.
/// </summary>
public sealed record ExpertBalancingOptions
{
    private const int UsualWindow = 1000;
    private const int UsualInterval = 3000;

    /// <summary>Experts of a layer beyond the model's own, over all ranks: copies of the busiest. 0: experts are only moved.</summary>
    public int NumRedundantExperts { get; init; }

    /// <summary>Of <see cref="StepInterval"/> steps the last ones, whose loads count.</summary>
    public int WindowSize { get; init; } = UsualWindow;

    /// <summary>Steps after which experts are placed again.</summary>
    public int StepInterval { get; init; } = UsualInterval;

    /// <summary>As <c>--eplb-config</c> takes it.</summary>
    internal string ToJson() => new JsonObject
    {
        ["num_redundant_experts"] = NumRedundantExperts, ["window_size"] = WindowSize, ["step_interval"] = StepInterval,
    }.ToJsonString();
}
