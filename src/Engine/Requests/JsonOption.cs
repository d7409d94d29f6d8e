using System.Text.Json;

namespace LocalLlm.Requests;

/// <summary>An engine's option whose value is one JSON object, as vLLM's command line has some.</summary>
/// <param name="name">What the option is called.</param>
/// <param name="advice">What to give, with an example; without a stop.</param>
internal sealed class JsonOption(string name, string advice)
{
    /// <summary>Reads an object, and refuses fields that were not asked for.</summary>
    /// <param name="json">The object's text.</param>
    /// <param name="read">Takes its fields; called once.</param>
    /// <exception cref="EngineException">InvalidOptions: it is no object, or some fields are not as they must be; every fault in one
    /// message.</exception>
    public T Read<T>(string json, Func<JsonFields, T> read)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using var document = JsonDocument.Parse(json);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? Read(document.RootElement, read)
                : throw Refused($"is {RequestErrors.Printable(json)}");
        }
        catch (JsonException)
        {
            throw Refused($"'{RequestErrors.Printable(json)}' is not valid JSON");
        }
    }

    private T Read<T>(JsonElement root, Func<JsonFields, T> read)
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(root, errors);
        var options = read(fields);
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

    private EngineException Refused(string what) => new(EngineErrorKind.InvalidOptions, $"{name} {what}; give {advice}.", name);
}
