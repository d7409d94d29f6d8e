using LocalLlm.Jinja;

namespace LocalLlm.Templating;

/// <summary>A checked <see cref="ChatTemplateRequest"/> as values.</summary>
internal sealed record ChatTemplateInput
{
    public required List<object?> Messages { get; init; }

    /// <summary>Whether a system message is the caller's: without, one that is there is the engine's own.</summary>
    public required bool HasSystemText { get; init; }

    public required List<object?>? Tools { get; init; }

    public required List<object?>? Documents { get; init; }

    /// <summary>Variables of the request's own.</summary>
    public required PyDict Variables { get; init; }

    public required PyDict SpecialTokens { get; init; }

    /// <summary>Describes the tools where the template does not; null: nobody does.</summary>
    public ToolPrompt? ToolPrompt { get; init; }

    public required bool AddGenerationPrompt { get; init; }

    public required bool ContinueFinalMessage { get; init; }
}
