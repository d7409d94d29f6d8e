using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Converts message contents to what a text model can read: tool calls with their results, errors, text files. Content that text cannot
/// represent is refused by name.
/// </summary>
internal static class ToolContents
{
    private const string ErrorPrefix = "Error: ";
    private const string Refusal = "Refusal";
    private static readonly string[] TextTypes = ["application/json", "application/xml", "application/yaml"];

    /// <summary>
    /// Converts a call to OpenAI's format. A call that another service executed itself becomes a call of a tool with that name.
    /// </summary>
    /// <exception cref="NotSupportedException">The content is of an unknown kind, or text cannot represent it.</exception>
    public static object CallOf(ToolCallContent call) => call switch
    {
        FunctionCallContent function => Call(function.CallId, function.Name, ArgumentsOf(function)),
        McpServerToolCallContent mcp => Call(mcp.CallId, mcp.Name, mcp.Arguments ?? new Dictionary<string, object?>()),
        CodeInterpreterToolCallContent code => Call(code.CallId, "code_interpreter", new { code = TextOf(code.Inputs, code) }),
        WebSearchToolCallContent search => Call(search.CallId, "web_search", new { queries = search.Queries ?? [] }),
        ImageGenerationToolCallContent image => Call(image.CallId, "image_generation", new { }),
        _ => throw Refused(call),
    };

    /// <summary>Converts a result to the text that the model reads.</summary>
    /// <exception cref="NotSupportedException">The content is of an unknown kind, or text cannot represent it.</exception>
    public static string TextOf(ToolResultContent result) => result switch
    {
        FunctionResultContent { Result: null, Exception: { } exception } => ErrorPrefix + exception.Message,
        FunctionResultContent function => TextOf(function.Result, function),
        McpServerToolResultContent mcp => TextOf(mcp.Outputs, mcp),
        CodeInterpreterToolResultContent code => TextOf(code.Outputs, code),
        WebSearchToolResultContent search => TextOf(search.Outputs, search),
        ImageGenerationToolResultContent image => TextOf(image.Outputs, image),
        _ => throw Refused(result),
    };

    /// <summary>Converts any other content to text.</summary>
    /// <exception cref="NotSupportedException">Text cannot represent the content.</exception>
    public static string TextOf(AIContent content) => content switch
    {
        TextContent text => text.Text,
        ErrorContent { ErrorCode: Refusal } refusal => refusal.Message,
        ErrorContent error => TextOf(error),
        DataContent data when IsText(data.MediaType) => Encoding.UTF8.GetString(data.Data.Span),
        DataContent data => throw Refused(data, data.MediaType),
        UriContent uri => throw Refused(uri, uri.MediaType),
        _ => throw Refused(content),
    };

    /// <summary>The result of a call that a user did not allow, in the words of <see cref="FunctionInvokingChatClient"/>.</summary>
    public static string Rejection(string? reason) => string.IsNullOrWhiteSpace(reason) ? "Tool call invocation rejected." : $"Tool call invocation rejected. {reason}";

    private static object Call(string id, string name, object arguments) => new { id, type = "function", function = new { name, arguments } };

    // Malformed arguments stay as the model wrote them (ChatToolMapping.ToContent).
    private static object ArgumentsOf(FunctionCallContent call) =>
        call.Arguments ?? ((call.RawRepresentation as FunctionCallContent ?? call).RawRepresentation as string) ?? (object)new Dictionary<string, object?>();

    private static string TextOf(ErrorContent error)
    {
        var code = string.IsNullOrEmpty(error.ErrorCode) ? "" : $" ({error.ErrorCode})";
        var details = string.IsNullOrEmpty(error.Details) ? "" : $"\n{error.Details}";
        return $"{ErrorPrefix}{error.Message}{code}{details}";
    }

    private static string TextOf(object? result, AIContent holder) => result switch
    {
        null => "",
        string text => text,
        JsonElement { ValueKind: JsonValueKind.String } text => text.GetString()!,
        JsonElement { ValueKind: JsonValueKind.Null or JsonValueKind.Undefined } => "",
        Exception exception => ErrorPrefix + exception.Message,
        AIContent content => Inside(content, holder),
        IEnumerable<AIContent> contents => string.Join('\n', contents.Select(content => Inside(content, holder))),
        _ => JsonSerializer.Serialize(result, AIJsonUtilities.DefaultOptions),
    };

    private static string Inside(AIContent content, AIContent holder)
    {
        try
        {
            return content is ToolResultContent result ? TextOf(result) : TextOf(content);
        }
        catch (NotSupportedException e)
        {
            throw new NotSupportedException($"In a {holder.GetType().Name}: {e.Message}", e);
        }
    }

    private static bool IsText(string mediaType) => mediaType.StartsWith("text/", StringComparison.OrdinalIgnoreCase) || TextTypes.Contains(mediaType, StringComparer.OrdinalIgnoreCase);

    private static NotSupportedException Refused(AIContent content, string? mediaType = null) => new(
        $"A message holds {content.GetType().Name}{(mediaType is null ? "" : $" ({mediaType})")}, which this text model cannot read; remove it, or "
        + "put its text in its place. Taken are text, thoughts, errors, data of a text type, and calls of tools with their results.");
}
