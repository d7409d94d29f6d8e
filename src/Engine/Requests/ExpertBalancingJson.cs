using System.Text.Json;

namespace LocalLlm.Requests;

/// <summary>Reads vLLM's <c>eplb_config</c>.</summary>
public static class ExpertBalancingJson
{
    /// <summary>Reads an object such as <c>{"num_redundant_experts":32,"window_size":1000,"step_interval":3000}</c>. Values are checked when a model is loaded.</summary>
    /// <param name="json">One object; what it leaves out has its default.</param>
    /// <exception cref="EngineException">InvalidOptions: it is no such object, or has a key that is not known here; every fault in one message.</exception>
    public static ExpertBalancingOptions Parse(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using var document = JsonDocument.Parse(json);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? Read(document.RootElement)
                : throw Refused($"is {RequestErrors.Printable(json)}");
        }
        catch (JsonException)
        {
            throw Refused($"'{RequestErrors.Printable(json)}' is not valid JSON");
        }
    }

    private static ExpertBalancingOptions Read(JsonElement root)
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(root, errors);
        var usual = new ExpertBalancingOptions();
        var options = new ExpertBalancingOptions
        {
            NumRedundantExperts = fields.Integer("num_redundant_experts") ?? usual.NumRedundantExperts,
            WindowSize = fields.Integer("window_size") ?? usual.WindowSize,
            StepInterval = fields.Integer("step_interval") ?? usual.StepInterval,
        };
        foreach (var unknown in fields.Unconsumed)
            errors.AddUnsupported(unknown);
        try
        {
            errors.ThrowIfAny();
        }
        catch (EngineException faults)
        {
            throw Refused($"cannot be used: {faults.Message}");
        }

        return options;
    }

    private static EngineException Refused(string what) => new(
        EngineErrorKind.InvalidOptions,
        $"eplb_config {what}; give an object with num_redundant_experts, window_size and step_interval, "
        + """such as {"num_redundant_experts":32,"window_size":1000,"step_interval":3000}.""",
        "eplb_config");
}
