using LocalLlm.Requests;
using LocalLlm.Server.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>
/// The number of tokens that a request's texts are truncated to: <c>truncate_prompt_tokens</c> of vLLM's routes, <c>max_tokens_per_doc</c>
/// of Cohere's.
/// </summary>
internal static class Truncation
{
    /// <summary>The field that applies to all texts of a request.</summary>
    public const string Field = "truncate_prompt_tokens";

    private const int ModelLength = -1;

    // The first and the last token are special.
    private const int MinTokens = 3;

    /// <summary>Reads a field; null if it is absent or invalid.</summary>
    public static int? Read(JsonFields fields, RequestErrors errors, string name)
    {
        if (fields.Integer(name) is not { } given)
            return null;
        if (given is ModelLength or >= MinTokens)
            return given;
        errors.Add(name, given, $"-1 (the model's length), or {MinTokens} or more tokens");
        return null;
    }

    /// <summary>Returns the number of tokens for a model.</summary>
    /// <exception cref="ApiException">400: the number is more than the model accepts.</exception>
    public static int? Of(int? given, string name, EmbeddingEngine engine) => given switch
    {
        ModelLength => engine.MaxModelLen,
        _ when given > engine.MaxModelLen => throw new ApiException(ApiError.Invalid($"{name}: given {given}; '{engine.ModelName}' accepts at most {engine.MaxModelLen} tokens. Send at most that, or -1.", name)),
        _ => given,
    };
}
