using System.Text.Json.Serialization;

namespace LocalLlm.Server.OpenAI;

/// <summary>Token counts of one request.</summary>
internal sealed record Usage(int PromptTokens, int TotalTokens, int CompletionTokens)
{
    public PromptTokensDetails? PromptTokensDetails { get; init; }

    public CompletionTokensDetails? CompletionTokensDetails { get; init; }
}

/// <summary>Details of the prompt's token count.</summary>
internal sealed record PromptTokensDetails(int CachedTokens);

/// <summary>Details of the response's token count.</summary>
internal sealed record CompletionTokensDetails(int ReasoningTokens);

/// <summary>A complete chat response.</summary>
internal sealed record ChatCompletion(string Id, long Created, string Model, IReadOnlyList<ChatChoice> Choices, Usage Usage)
{
    public string Object { get; } = "chat.completion";

    public string SystemFingerprint { get; } = Fingerprint.Text;

    public IReadOnlyList<Dictionary<string, PromptLogprob>?>? PromptLogprobs { get; init; }

    public IReadOnlyList<int>? PromptTokenIds { get; init; }
}

/// <summary>One choice of a chat response.</summary>
internal sealed record ChatChoice(int Index, ChatMessageOut Message, string FinishReason)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public ChatLogprobs? Logprobs { get; init; }

    public object? StopReason { get; init; }

    public IReadOnlyList<int>? TokenIds { get; init; }
}

/// <summary>The assistant's message. The reasoning is sent under both names that clients look for.</summary>
internal sealed record ChatMessageOut(string Role)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? Content { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? Refusal { get; init; }

    public string? Reasoning { get; init; }

    public string? ReasoningContent => Reasoning;

    public IReadOnlyList<ToolCall>? ToolCalls { get; init; }
}

/// <summary>A tool call. In streams <see cref="Index"/> identifies the call; its later pieces have only arguments.</summary>
internal sealed record ToolCall(string? Id, FunctionCall Function)
{
    public int? Index { get; init; }

    public string? Type => Id is null ? null : "function";

    public static string NewId() => $"call_{Guid.NewGuid():N}";
}

/// <summary>
/// The function's name, and its arguments as JSON text; in later pieces of a stream, only the next part of the arguments.
/// </summary>
internal sealed record FunctionCall(string? Name, string Arguments);

/// <summary>A piece of a streamed chat response.</summary>
internal sealed record ChatCompletionChunk(string Id, long Created, string Model, IReadOnlyList<ChatChunkChoice> Choices)
{
    public string Object { get; } = "chat.completion.chunk";

    public string? SystemFingerprint { get; init; }

    public Usage? Usage { get; init; }

    public IReadOnlyList<int>? PromptTokenIds { get; init; }
}

/// <summary>What is new in one choice.</summary>
internal sealed record ChatChunkChoice(int Index, ChatDelta Delta)
{
    public ChatLogprobs? Logprobs { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? FinishReason { get; init; }

    public object? StopReason { get; init; }

    public IReadOnlyList<int>? TokenIds { get; init; }
}

/// <summary>New text, reasoning or calls.</summary>
internal sealed record ChatDelta
{
    public string? Role { get; init; }

    public string? Content { get; init; }

    public string? Reasoning { get; init; }

    public string? ReasoningContent => Reasoning;

    public IReadOnlyList<ToolCall>? ToolCalls { get; init; }
}

/// <summary>Log-probabilities of a chat response.</summary>
internal sealed record ChatLogprobs(IReadOnlyList<ChatTokenLogprob> Content)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public IReadOnlyList<ChatTokenLogprob>? Refusal { get; init; }
}

/// <summary>
/// One token: its text, the natural logarithm of its probability, its UTF-8 bytes, and the likeliest tokens at its position.
/// </summary>
internal sealed record ChatTokenLogprob(string Token, double Logprob, IReadOnlyList<int>? Bytes)
{
    public IReadOnlyList<ChatTokenLogprob>? TopLogprobs { get; init; }
}

/// <summary>A candidate for a prompt token, with vLLM's names.</summary>
internal sealed record PromptLogprob(double Logprob, int Rank, string? DecodedToken);

/// <summary>A complete text completion, or a piece of a streamed one: OpenAI has one schema for both.</summary>
internal sealed record TextCompletion(string Id, long Created, string Model, IReadOnlyList<TextChoice> Choices)
{
    public string Object { get; } = "text_completion";

    public string? SystemFingerprint { get; init; }

    public Usage? Usage { get; init; }
}

/// <summary>One choice of a completion.</summary>
internal sealed record TextChoice(int Index, string Text)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public TextLogprobs? Logprobs { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? FinishReason { get; init; }

    public object? StopReason { get; init; }

    public IReadOnlyList<int>? TokenIds { get; init; }

    public IReadOnlyList<int>? PromptTokenIds { get; init; }

    public IReadOnlyList<Dictionary<string, PromptLogprob>?>? PromptLogprobs { get; init; }
}

/// <summary>Log-probabilities of a completion; each list has one entry per token.</summary>
internal sealed record TextLogprobs(
    IReadOnlyList<string> Tokens,
    IReadOnlyList<double?> TokenLogprobs,
    IReadOnlyList<Dictionary<string, double>?> TopLogprobs,
    IReadOnlyList<int> TextOffset);

/// <summary>The vectors of texts, in the order of the texts.</summary>
internal sealed record EmbeddingList(string Id, long Created, string Model, IReadOnlyList<EmbeddingItem> Data, EmbeddingUsage Usage)
{
    public string Object { get; } = "list";
}

/// <summary>One vector.</summary>
internal sealed record EmbeddingItem(int Index, EmbeddingVector Embedding)
{
    public string Object { get; } = "embedding";
}

/// <summary>Documents, the best first, in Jina's and Cohere's format.</summary>
internal sealed record RerankResponse(string Id, string Model, EmbeddingUsage Usage, IReadOnlyList<RerankItem> Results);

/// <summary>One document: its index in the request, the document itself if requested, and its score.</summary>
internal sealed record RerankItem(int Index, System.Text.Json.Nodes.JsonNode? Document, double RelevanceScore);

/// <summary>The scores of pairs, in the order of the pairs.</summary>
internal sealed record ScoreList(string Id, long Created, string Model, IReadOnlyList<ScoreItem> Data, EmbeddingUsage Usage)
{
    public string Object { get; } = "list";
}

/// <summary>One score.</summary>
internal sealed record ScoreItem(int Index, double Score)
{
    public string Object { get; } = "score";
}

/// <summary>Token counts of a request that generates nothing.</summary>
internal sealed record EmbeddingUsage(int PromptTokens, int TotalTokens);

/// <summary>The served models.</summary>
internal sealed record ModelList(IReadOnlyList<ModelCard> Data)
{
    public string Object { get; } = "list";
}

/// <summary>One name of the model.</summary>
internal sealed record ModelCard(string Id, long Created, string Root, int MaxModelLen)
{
    public string Object { get; } = "model";

    public string OwnedBy { get; } = "localllm";

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? Parent { get; }
}

/// <summary>The tokens of a text or chat.</summary>
internal sealed record TokenizeResult(int Count, int MaxModelLen, IReadOnlyList<int> Tokens)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public IReadOnlyList<string>? TokenStrs { get; init; }
}

/// <summary>The text of tokens.</summary>
internal sealed record DetokenizeResult(string Prompt);

/// <summary>The program's version.</summary>
internal sealed record VersionResult(string Version);

/// <summary>The number of requests being served.</summary>
internal sealed record LoadResult(int ServerLoad);

/// <summary>Whether the server can serve requests now, and if not, why.</summary>
internal sealed record ReadyResult(string Status, string? Phase = null, double? Percent = null);

/// <summary>The engine at one moment, for the page.</summary>
internal sealed record EngineView(string Model, int MaxModelLen, int Running, int Waiting, double KvCacheUsage, int KvBlocksTotal, int KvBlocksFree, long Preemptions, long PrefixCacheQueries, long PrefixCacheHits, long GeneratedTokens, string KvBlocks);

/// <summary>Identifies the build that generated a response.</summary>
internal static class Fingerprint
{
    public static string Text { get; } = "localllm-" + ServerVersion.Text;
}
