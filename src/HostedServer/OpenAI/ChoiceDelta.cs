using LocalLlm.Parsing;

namespace LocalLlm.Server.OpenAI;

/// <summary>What the engine's outputs add to a choice.</summary>
internal sealed record ChoiceDelta
{
    /// <summary>New reasoning.</summary>
    public string Reasoning { get; private set; } = "";

    /// <summary>New text.</summary>
    public string Content { get; private set; } = "";

    /// <summary>New calls, and further arguments of the call that began before.</summary>
    public List<ToolCall> Calls { get; } = [];

    /// <summary>Tokens whose log-probabilities or ids may be sent.</summary>
    public List<TokenLogprobs> Logprobs { get; } = [];

    /// <summary>The ids of these tokens.</summary>
    public List<int> TokenIds { get; } = [];

    /// <summary>Set on the last delta only.</summary>
    public string? FinishReason { get; set; }

    /// <summary>The stop string or token id that ended the choice.</summary>
    public object? StopReason { get; set; }

    /// <summary>Whether there is anything to send to the client.</summary>
    public bool HasContent => Reasoning.Length > 0 || Content.Length > 0 || Calls.Count > 0 || FinishReason is not null;

    /// <summary>Adds a part of the response.</summary>
    /// <param name="part">The part.</param>
    /// <param name="call">The number of the call that the part belongs to, if any.</param>
    public void Add(ResponsePart part, int call)
    {
        switch (part.Kind)
        {
            case ResponsePartKind.Text:
                Content += part.Value;
                break;
            case ResponsePartKind.Reasoning:
                Reasoning += part.Value;
                break;
            case ResponsePartKind.ToolCall:
                Calls.Add(new(ToolCall.NewId(), new(part.Value, "")) { Index = call });
                break;
            case ResponsePartKind.ToolArguments when Calls.Count > 0:
                Calls[^1] = Calls[^1] with { Function = Calls[^1].Function with { Arguments = Calls[^1].Function.Arguments + part.Value } };
                break;
            case ResponsePartKind.ToolArguments:
                Calls.Add(new(null, new(null, part.Value)) { Index = call });
                break;
        }
    }
}
