using System.Text.Json;
using System.Text.Json.Serialization;
using LocalLlm.Parsing;
using LocalLlm.Sampling;
using LocalLlm.Sampling.Grammar;

namespace LocalLlm.Execution.Wire;

/// <summary>
/// A grammar's source as a flat object. Schemas and tools travel as their text: a schema may be nested deeper than a serializer goes, and
/// the order of its properties means something.
/// </summary>
internal sealed class GrammarSourceConverter : JsonConverter<GrammarSource>
{
    /// <inheritdoc/>
    public override GrammarSource Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var flat = JsonSerializer.Deserialize(ref reader, GrammarJsonContext.Default.FlatGrammar) ?? throw new JsonException("a grammar is null");
        var structure = !flat.HasStructure ? null : new StructuredOutputs
        {
            Json = Element(flat.Json),
            TypeFirst = flat.TypeFirst,
            Choice = flat.Choice,
            Regex = flat.Regex,
            Grammar = flat.Ebnf,
            JsonObject = flat.JsonObject,
            Field = flat.Field,
        };
        var choice = flat.FunctionName is { } name ? ToolChoice.Function(name) : flat.IsCallRequired ? ToolChoice.Required : ToolChoice.Auto;
        var tools = Element(flat.Tools) is { } list ? new ToolCallStructure(flat.ToolFormat, list, choice with { AllowParallelCalls = flat.AllowParallelCalls }) : null;
        return new(structure, tools, flat.Field);
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, GrammarSource value, JsonSerializerOptions options)
    {
        var (structure, tools, field) = value;
        var flat = new FlatGrammar
        {
            Field = field,
            HasStructure = structure is not null,
            Json = structure?.Json?.GetRawText(),
            TypeFirst = structure?.TypeFirst ?? false,
            Choice = structure?.Choice,
            Regex = structure?.Regex,
            Ebnf = structure?.Grammar,
            JsonObject = structure?.JsonObject ?? false,
            Tools = tools?.Tools.GetRawText(),
            ToolFormat = tools?.Format ?? default,
            IsCallRequired = tools?.Choice.IsRequired ?? false,
            FunctionName = tools?.Choice.FunctionName,
            AllowParallelCalls = tools?.Choice.AllowParallelCalls ?? false,
        };
        JsonSerializer.Serialize(writer, flat, GrammarJsonContext.Default.FlatGrammar);
    }

    private static JsonElement? Element(string? text) =>
        text is null ? null : JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = int.MaxValue }).RootElement;
}

/// <summary>What <see cref="GrammarSourceConverter"/> writes.</summary>
internal sealed record FlatGrammar
{
    /// <inheritdoc cref="GrammarSource.Field"/>
    public required string Field { get; init; }

    /// <summary>Whether there is a structure besides the tools.</summary>
    public bool HasStructure { get; init; }

    /// <summary>The schema's text.</summary>
    public string? Json { get; init; }

    /// <inheritdoc cref="StructuredOutputs.TypeFirst"/>
    public bool TypeFirst { get; init; }

    /// <inheritdoc cref="StructuredOutputs.Choice"/>
    public IReadOnlyList<string>? Choice { get; init; }

    /// <inheritdoc cref="StructuredOutputs.Regex"/>
    public string? Regex { get; init; }

    /// <inheritdoc cref="StructuredOutputs.Grammar"/>
    public string? Ebnf { get; init; }

    /// <inheritdoc cref="StructuredOutputs.JsonObject"/>
    public bool JsonObject { get; init; }

    /// <summary>The text of the tools' list.</summary>
    public string? Tools { get; init; }

    /// <summary>How the model writes calls.</summary>
    public ToolCallFormat ToolFormat { get; init; }

    /// <inheritdoc cref="ToolChoice.IsRequired"/>
    public bool IsCallRequired { get; init; }

    /// <inheritdoc cref="ToolChoice.FunctionName"/>
    public string? FunctionName { get; init; }

    /// <inheritdoc cref="ToolChoice.AllowParallelCalls"/>
    public bool AllowParallelCalls { get; init; }
}

/// <summary>The generated serializer of <see cref="FlatGrammar"/>.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(FlatGrammar))]
internal sealed partial class GrammarJsonContext : JsonSerializerContext;
