using System.Text.Json;
using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>Converts tools for chat templates, and tool calls for callers.</summary>
internal static class ChatToolMapping
{
    private const string StrictProperty = "strict";

    /// <summary>
    /// Returns the tools that the model may call, as in OpenAI's API, or null if there are none. Tools that are not functions belong to
    /// other providers.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <param name="isHeld">Whether schemas describe the parameter types in full. The grammar that constrains arguments needs full schemas;
    /// a model reads short ones better.</param>
    public static JsonElement? ToTemplate(ChatOptions? options, bool isHeld = false)
    {
        if (options?.Tools is not { Count: > 0 } tools || options.ToolMode is NoneChatToolMode)
            return null;
        var functions = tools.OfType<AIFunctionDeclaration>().Select(tool =>
        {
            var function = new Dictionary<string, object?> { ["name"] = tool.Name, ["description"] = tool.Description, ["parameters"] = isHeld ? DotNetSchemas.OfParameters(tool) : tool.JsonSchema };
            if (IsStrict(tool, options))
                function[StrictProperty] = true;
            return new { type = "function", function };
        }).ToArray();
        return functions.Length == 0 ? null : JsonSerializer.SerializeToElement(functions, AIJsonUtilities.DefaultOptions);
    }

    /// <summary>Whether tools must be called; null: the model decides.</summary>
    /// <exception cref="EngineException">InvalidRequest: the tool that must be called is not among the tools.</exception>
    public static ToolChoice? ToChoice(ChatOptions? options) => options?.ToolMode switch
    {
        RequiredChatToolMode { RequiredFunctionName: { } name } => ToolChoice.Function(Known(name, options.Tools)),
        RequiredChatToolMode => ToolChoice.Required with { AllowParallelCalls = options.AllowMultipleToolCalls != false },
        _ => null,
    };

    // As in the OpenAI clients of Microsoft.Extensions.AI: one tool may be strict, or the whole request.
    private static bool IsStrict(AIFunctionDeclaration tool, ChatOptions options) =>
        (tool.AdditionalProperties.TryGetValue(StrictProperty, out var own) && own is true) || (options.AdditionalProperties?.TryGetValue(StrictProperty, out var all) == true && all is true);

    private static string Known(string wanted, IList<AITool>? tools)
    {
        string[] names = [.. (tools ?? []).OfType<AIFunctionDeclaration>().Select(tool => tool.Name)];
        if (names.Contains(wanted))
            return wanted;
        var given = names.Length == 0 ? "the request has no tools" : $"the tools of the request are {string.Join(", ", names.Select(name => $"'{name}'"))}";
        throw EngineException.InvalidRequest(
            "tool_choice", $"ChatOptions.ToolMode requires a call of the tool '{wanted}', but {given}. Add '{wanted}' to ChatOptions.Tools, or require another tool.");
    }

    /// <summary>
    /// Creates a call with a new id. If the arguments are malformed, its exception reports it and its raw representation keeps them as the
    /// model wrote them.
    /// </summary>
    /// <param name="name">The tool.</param>
    /// <param name="arguments">The arguments, JSON as the model wrote it.</param>
    public static FunctionCallContent ToContent(string name, string arguments)
    {
        var call = FunctionCallContent.CreateFromParsedArguments(
            arguments,
            $"call_{Guid.NewGuid():N}",
            name,
            static json => JsonSerializer.Deserialize<Dictionary<string, object?>>(json, AIJsonUtilities.DefaultOptions));
        if (call.Exception is not null)
            call.RawRepresentation = arguments;
        return call;
    }
}
