using LocalLlm.Sampling;

namespace LocalLlm.Server.OpenAI;

/// <summary>Fields of vLLM's, Jina's and Cohere's pooling routes that are known and not honoured: refused where they ask for something.</summary>
internal static class UnhonouredFields
{
    private static readonly string[] Values = ["max_chunks_per_doc", "rank_fields", "mm_processor_kwargs", "chat_template", "chat_template_kwargs", "activation", "cache_salt"];
    private static readonly string[] Switches = ["softmax", "use_activation"];

    /// <summary>All of their names, and those that mean nothing to a server of one model.</summary>
    public static IEnumerable<string> Known { get; } = [.. Values, .. Switches, "priority", "user", "request_id", "model", "add_special_tokens"];

    /// <summary>Refuses what is asked for.</summary>
    public static void Refuse(JsonFields fields, RequestErrors errors)
    {
        foreach (var name in Values)
        {
            if (fields.Take(name) is not null)
                errors.AddUnsupported(name);
        }

        foreach (var name in Switches)
        {
            if (fields.Boolean(name) == true)
                errors.AddUnsupported(name);
        }

        if (fields.Boolean("add_special_tokens") == false)
            errors.AddUnsupported("add_special_tokens");
        if (fields.Integer("priority") is not (null or 0))
            errors.AddUnsupported("priority");
    }
}
