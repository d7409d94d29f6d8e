namespace LocalLlm.Parsing;

/// <summary>Qwen's calls (vLLM's <c>hermes</c>): JSON objects with <c>name</c> and <c>arguments</c> between <c>&lt;tool_call&gt;</c> and <c>&lt;/tool_call&gt;</c>.</summary>
internal sealed class HermesToolParser() : ToolCallParser("<tool_call>", "</tool_call>")
{
    /// <inheritdoc/>
    protected override OutputPiece? Read(string call) => ToolCallJson.Read(call);

    /// <inheritdoc/>
    protected override bool IsComplete(string call) => ToolCallJson.IsJson(call);
}
