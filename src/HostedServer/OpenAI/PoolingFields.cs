using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Server.OpenAI;

/// <summary>
/// The fields that the routes for embedding, ranking and scoring share. It also knows fields of vLLM, Jina, Cohere, Voyage and TEI that
/// this server does not support, and refuses them if their value asks for something.
/// </summary>
/// <param name="Model">The model's name, or null.</param>
/// <param name="RequestId">The request's id, or null.</param>
/// <param name="CutAt">Maximum number of tokens that texts are truncated to, or null.</param>
internal sealed record PoolingFields(string? Model, string? RequestId, int? CutAt)
{
    private static readonly string[] Refused =
    [
        "cache_salt", "chat_template", "chat_template_kwargs", "embedding_type", "embedding_types", "input_type", "instruction", "max_chunks_per_doc", "media_io_kwargs", "messages", "mm_processor_kwargs", "output_dimension",
        "output_dtype", "prompt_name", "rank_fields", "task", "truncation_direction",
    ];

    // Always done: the server adds the model's special tokens, and does not change the length of the model's vectors.
    private static readonly string[] AlwaysOn = ["activation", "add_special_tokens", "normalize", "normalized", "use_activation"];

    private static readonly string[] AlwaysOff = ["late_chunking", "return_multivector", "softmax", "truncation"];

    private static readonly (string Name, string[] Allowed)[] Choices = [("embed_dtype", ["float32"]), ("endianness", ["native", "little"])];

    /// <summary>Reads the shared fields, and records unsupported ones as errors.</summary>
    public static PoolingFields Read(JsonFields fields, RequestErrors errors)
    {
        foreach (var name in Refused)
            RefuseIf(name, fields.Take(name) is not null);
        foreach (var name in AlwaysOn)
            RefuseIf(name, fields.Boolean(name) == false);
        foreach (var name in AlwaysOff)
            RefuseIf(name, fields.Boolean(name) == true);
        // In TEI a switch, in Cohere a side.
        RefuseIf("truncate", fields.Take("truncate") is { } truncate && truncate.ValueKind != JsonValueKind.False && !(truncate.ValueKind == JsonValueKind.String && truncate.ValueEquals("NONE")));
        RefuseIf("priority", fields.Integer("priority") is not (null or 0));
        RefuseIf("truncation_side", fields.Strings("truncation_side", allowBare: true) is { } side && side is not ["right"]);
        foreach (var (name, allowed) in Choices)
        {
            if (fields.Text(name) is { } given && !allowed.Contains(given))
                errors.Add(name, given, string.Join(" or ", allowed));
        }

        // Identifies the end user for services that keep accounts; this server keeps none.
        fields.Take("user");
        return new(fields.Text("model"), fields.Text("request_id"), Truncation.Read(fields, errors, Truncation.Field));

        void RefuseIf(string name, bool asked)
        {
            if (asked)
                errors.AddUnsupported(name);
        }
    }
}
