using System.Globalization;
using LocalLlm.Requests;

namespace LocalLlm.Sampling;

/// <summary>How many tokens a request may and must generate.</summary>
internal static class OutputLimits
{
    /// <summary>
    /// Resolves max_tokens: the request's, else the model's max_new_tokens, else up to the end of the context for a chat and 16 for a
    /// plain prompt. The result is capped at the model's max_new_tokens and at what the context leaves (the sequence then ends with
    /// "length").
    /// </summary>
    public static int Resolve(SamplingParams request, SamplingContext context, RequestErrors errors)
    {
        if (request.MaxTokens is < 1)
            errors.Add("max_tokens", request.MaxTokens.Value, SamplingRules.MaxTokensRange);
        if (request.MinTokens < 0)
            errors.Add("min_tokens", request.MinTokens, "0 or more");

        var room = Room(context);
        var wanted = request.MaxTokens ?? context.ModelDefaults.MaxNewTokens ?? (context.IsChat ? room : SamplingRules.DefaultMaxTokens);
        var limit = Math.Min(Math.Min(wanted, context.ModelDefaults.MaxNewTokens ?? int.MaxValue), room);
        // A faulty max_tokens, or a prompt without room, has its own error; do not report min_tokens as well.
        if (limit >= 1 && request.MinTokens > limit)
            errors.Add("min_tokens", request.MinTokens, $"0 to {limit}, the most tokens that max_tokens, the model and its context allow here");
        return limit;
    }

    /// <summary>Refuses a prompt that leaves no room for a single token.</summary>
    public static void CheckRoom(SamplingContext context)
    {
        if (Room(context) >= 1)
            return;
        throw new EngineException(
            EngineErrorKind.ContextLengthExceeded,
            string.Create(
                CultureInfo.InvariantCulture,
                $"{Field(context)}: given {context.PromptLength} tokens, allowed {context.MaxModelLen - 1} "
                + $"(the context of {context.MaxModelLen} less one token to generate)"),
            Field(context));
    }

    /// <summary>Refuses a prompt that leaves no room for all requested tokens.</summary>
    public static void CheckAllFit(SamplingParams request, SamplingContext context)
    {
        if (request.MaxTokens is not { } wanted || wanted <= Room(context))
            return;
        throw new EngineException(
            EngineErrorKind.ContextLengthExceeded,
            string.Create(
                CultureInfo.InvariantCulture,
                $"{Field(context)}: given {context.PromptLength} tokens and max_tokens {wanted}, {(long)context.PromptLength + wanted} together; the context has {context.MaxModelLen}. Shorten the prompt, or set max_tokens to at most {Room(context)}."),
            Field(context));
    }

    private static string Field(SamplingContext context) => context.IsChat ? "messages" : "prompt";

    private static int Room(SamplingContext context) => context.MaxModelLen - context.PromptLength;
}
