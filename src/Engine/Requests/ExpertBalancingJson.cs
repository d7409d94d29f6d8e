namespace LocalLlm.Requests;

/// <summary>Reads vLLM's <c>eplb_config</c>.</summary>
public static class ExpertBalancingJson
{
    private static readonly JsonOption s_option = new(
        "eplb_config",
        """an object with num_redundant_experts, window_size and step_interval, such as {"num_redundant_experts":32,"window_size":1000,"step_interval":3000}""");

    /// <summary>
    /// Reads an object such as <c>{"num_redundant_experts":32,"window_size":1000,"step_interval":3000}</c>. Its values are checked when a
    /// model is loaded.
    /// </summary>
    /// <param name="json">One object; missing fields have their defaults.</param>
    /// <exception cref="EngineException">InvalidOptions: not such an object, or unknown keys; one message lists every fault.</exception>
    public static ExpertBalancingOptions Parse(string json)
    {
        var usual = new ExpertBalancingOptions();
        return s_option.Read(json, fields => new ExpertBalancingOptions
        {
            NumRedundantExperts = fields.Integer("num_redundant_experts") ?? usual.NumRedundantExperts,
            WindowSize = fields.Integer("window_size") ?? usual.WindowSize,
            StepInterval = fields.Integer("step_interval") ?? usual.StepInterval,
        });
    }
}
