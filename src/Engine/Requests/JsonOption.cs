using System.Text.Json;

namespace LocalLlm.Requests;

/// <summary>An engine option whose value is one JSON object, as on vLLM's command line.</summary>
/// <param name="name">The option's name.</param>
/// <param name="advice">What to give, with an example; without a full stop.</param>
internal sealed class JsonOption(string name, string advice)
{
    /// <summary>Reads an object, and refuses fields that <paramref name="read"/> did not read.</summary>
    /// <param name="json">The object's text.</param>
    /// <param name="read">Reads the object's fields; called once.</param>
    /// <exception cref="EngineException">InvalidOptions: not an object, or some fields are wrong; one message lists every
    /// fault.</exception>
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
