using System.Globalization;
using System.Text.Json;
using LocalLlm.Tool.JsonLines;

namespace LocalLlm.Tool.Requests;

/// <summary>Turns a finished request into a line with vLLM's field names.</summary>
internal static class ResultLine
{
    // vLLM's server writes this for -Infinity, which JSON does not have.
    private const float MinLogprob = -9999;

    /// <summary>The line: the first sequence's fields at the top, and <c>outputs</c> with all sequences if there are several.</summary>
    /// <param name="result">A result without error.</param>
    /// <param name="requestId">The line's own id, or null.</param>
    public static LineResult Of(GenerationResult result, string? requestId) => LineResult.Object(
        writer =>
        {
            if (requestId is not null)
                writer.WriteString("request_id", requestId);
            WriteOutput(writer, result.Outputs[0]);
            WriteIds(writer, "prompt_token_ids", result.PromptTokenIds);
            if (result.PromptLogprobs is { } promptLogprobs)
                WriteLogprobs(writer, "prompt_logprobs", promptLogprobs);
            if (result.Outputs.Count > 1)
                WriteOutputs(writer, result.Outputs);
            WriteUsage(writer, result.Usage);
        },
        tokens: result.Usage.CompletionTokens);

    private static void WriteOutputs(Utf8JsonWriter writer, IReadOnlyList<CompletionOutput> outputs)
    {
        writer.WriteStartArray("outputs");
        foreach (var output in outputs)
        {
            writer.WriteStartObject();
            writer.WriteNumber("index", output.Index);
            WriteOutput(writer, output);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static void WriteOutput(Utf8JsonWriter writer, CompletionOutput output)
    {
        writer.WriteString("text", output.Text);
        WriteIds(writer, "token_ids", output.TokenIds);
        writer.WriteString("finish_reason", output.FinishReason.ToString().ToLowerInvariant());
        if (output.StopString is { } text)
            writer.WriteString("stop_reason", text);
        else if (output.StopTokenId is { } id)
            writer.WriteNumber("stop_reason", id);
        if (output.Logprobs is { } logprobs)
            WriteLogprobs(writer, "logprobs", logprobs);
    }

    private static void WriteIds(Utf8JsonWriter writer, string name, IReadOnlyList<int> ids)
    {
        writer.WriteStartArray(name);
        foreach (var id in ids)
            writer.WriteNumberValue(id);
        writer.WriteEndArray();
    }

    private static void WriteLogprobs(Utf8JsonWriter writer, string name, IReadOnlyList<TokenLogprobs?> positions)
    {
        writer.WriteStartArray(name);
        foreach (var position in positions)
        {
            if (position is null)
            {
                writer.WriteNullValue();
                continue;
            }

            writer.WriteStartObject();
            WriteLogprob(writer, position.Chosen);
            foreach (var candidate in position.Top.Where(candidate => candidate.TokenId != position.Chosen.TokenId))
                WriteLogprob(writer, candidate);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static void WriteLogprob(Utf8JsonWriter writer, TokenLogprob logprob)
    {
        writer.WriteStartObject(logprob.TokenId.ToString(CultureInfo.InvariantCulture));
        writer.WriteNumber("logprob", Math.Max(logprob.Logprob, MinLogprob));
        writer.WriteNumber("rank", logprob.Rank);
        writer.WriteString("decoded_token", logprob.DecodedToken);
        writer.WriteEndObject();
    }

    private static void WriteUsage(Utf8JsonWriter writer, TokenUsage usage)
    {
        writer.WriteStartObject("usage");
        writer.WriteNumber("prompt_tokens", usage.PromptTokens);
        writer.WriteNumber("completion_tokens", usage.CompletionTokens);
        writer.WriteNumber("total_tokens", usage.TotalTokens);
        writer.WriteStartObject("prompt_tokens_details");
        writer.WriteNumber("cached_tokens", usage.CachedTokens);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }
}
