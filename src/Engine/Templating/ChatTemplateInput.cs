using LocalLlm.Jinja;

namespace LocalLlm.Templating;

/// <summary>A checked <see cref="ChatTemplateRequest"/> as values.</summary>
internal sealed record ChatTemplateInput
{
    public required List<object?> Messages { get; init; }

    /// <summary>Whether the caller wrote a system message; false: if there is one, the engine wrote it.</summary>
    public required bool HasSystemText { get; init; }

    public required List<object?>? Tools { get; init; }

    public required List<object?>? Documents { get; init; }

    /// <summary>Additional variables from the request.</summary>
    public required PyDict Variables { get; init; }

    public required PyDict SpecialTokens { get; init; }

    /// <summary>Describes the tools if the template does not; null: nothing describes them.</summary>
    public ToolPrompt? ToolPrompt { get; init; }

    public required bool AddGenerationPrompt { get; init; }

    public required bool ContinueFinalMessage { get; init; }
}
