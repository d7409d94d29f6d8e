using System.Text.Json;
using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>Tools as chat templates take them, and calls as callers take them.</summary>
internal static class ChatToolMapping
{
    /// <summary>The tools that the model may call, as in OpenAI's API, or null where there are none. Tools that are no functions belong to other providers.</summary>
    /// <exception cref="NotSupportedException">Calls are required, which this client cannot guarantee.</exception>
    public static JsonElement? ToTemplate(ChatOptions? options)
    {
        if (options?.ToolMode is RequiredChatToolMode required)
        {
            var mode = required.RequiredFunctionName is { } name ? $"RequireSpecific(\"{name}\")" : "RequireAny";
            throw new NotSupportedException($"ChatOptions.ToolMode {mode} is not supported by this client: it cannot guarantee a call yet. Use Auto.");
        }

        if (options?.Tools is not { Count: > 0 } tools || options.ToolMode is NoneChatToolMode)
            return null;
        var functions = tools.OfType<AIFunctionDeclaration>().Select(tool => new
        {
            type = "function",
            function = new { name = tool.Name, description = tool.Description, parameters = tool.JsonSchema },
        }).ToArray();
        return functions.Length == 0 ? null : JsonSerializer.SerializeToElement(functions, AIJsonUtilities.DefaultOptions);
    }

    /// <summary>A call with an id of its own. Malformed arguments are told by its exception.</summary>
    /// <param name="name">The tool.</param>
    /// <param name="arguments">JSON as the model wrote it.</param>
    public static FunctionCallContent ToContent(string name, string arguments) => FunctionCallContent.CreateFromParsedArguments(
        arguments,
        $"call_{Guid.NewGuid():N}",
        name,
        static json => JsonSerializer.Deserialize<Dictionary<string, object?>>(json, AIJsonUtilities.DefaultOptions));
}
