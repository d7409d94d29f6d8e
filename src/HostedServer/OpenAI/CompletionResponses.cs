using System.Runtime.CompilerServices;
using System.Text;
using LocalLlm.Server.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>
/// The response to one completion request: complete, or as a stream. The choices of prompt p have the indices from p · n on.
/// </summary>
/// <param name="engine">The engine that generates the response.</param>
/// <param name="request">The client's request.</param>
/// <param name="id">The response's id.</param>
/// <param name="created">The time of the request, in seconds since 1970.</param>
internal sealed class CompletionResponses(LlmEngine engine, CompletionRequest request, string id, long created)
{
    private readonly Choice[] _choices = [.. Enumerable.Range(0, request.Generations.Count * request.N).Select(index => new Choice(index))];
    private readonly LogprobsMapping _logprobs = new(engine, request.TokensAsIds);
    private readonly int[] _promptTokens = new int[request.Generations.Count];
    private readonly int[] _cachedTokens = new int[request.Generations.Count];

    private bool WantsLogprobs => request.Generations[0].Sampling.Logprobs is not null;

    /// <summary>Generates the complete response.</summary>
    /// <exception cref="EngineException">The request is refused or fails.</exception>
    public async Task<TextCompletion> CompleteAsync(CancellationToken cancellationToken)
    {
        await foreach (var (prompt, output) in MergedOutputs.Run(engine, request.Generations, cancellationToken))
            Take(prompt, output);
        return new(id, created, engine.ModelName, [.. _choices.Select(choice => ToWire(choice, whole: true))]) { Usage = Usage(), SystemFingerprint = Fingerprint.Text };
    }

    /// <summary>Generates the response in pieces, each as JSON.</summary>
    /// <param name="pause">Returns how long to collect tokens between two pieces.</param>
    /// <param name="cancellationToken">Aborts the response.</param>
    /// <exception cref="EngineException">The request is refused or fails.</exception>
    public async IAsyncEnumerable<byte[]> StreamAsync(Func<TimeSpan> pause, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var touched = new SortedSet<int>();
        await foreach (var outputs in MergedOutputs.RunInBatches(engine, request.Generations, pause, cancellationToken))
        {
            touched.Clear();
            foreach (var (prompt, output) in outputs)
            {
                touched.Add(Take(prompt, output).Index);
                // Other choices of the prompt may have waited for these.
                if (output.PromptLogprobs is not null)
                    touched.UnionWith(Enumerable.Range(prompt * request.N, request.N).Where(index => _choices[index].IsOpen));
            }

            foreach (var choice in touched.Select(index => _choices[index]))
            {
                if (WaitsForScores(choice))
                    continue;
                if (!choice.HasNews(WantsLogprobs, request.ReturnTokenIds))
                    continue;
                yield return Json(new(id, created, engine.ModelName, [ToWire(choice, whole: false)]) { Usage = request.Stream.ContinuousUsage ? Usage() : null });
                choice.Sent();
            }
        }

        if (request.Stream.IncludeUsage)
            yield return Json(new(id, created, engine.ModelName, []) { Usage = Usage(), SystemFingerprint = Fingerprint.Text });
    }

    private static byte[] Json(TextCompletion piece) => EventStream.Json(piece, WireJson.Wire.TextCompletion);

    private Choice Take(int prompt, GenerationOutput output)
    {
        output.ThrowIfFailed();
        _promptTokens[prompt] = output.PromptTokenIds.Count;
        _cachedTokens[prompt] = Math.Max(_cachedTokens[prompt], output.Usage?.CachedTokens ?? 0);
        var choice = _choices[(prompt * request.N) + output.Index];
        if (output.PromptLogprobs is { } scores)
        {
            foreach (var sibling in _choices.Skip(prompt * request.N).Take(request.N))
                sibling.PromptLogprobs = scores;
        }

        if (!choice.IsOpen)
            Open(choice, prompt, output);
        if (output.FinishReason is { } reason)
        {
            choice.FinishReason = request.ScoresOnly || reason == FinishReason.Length ? "length" : "stop";
            choice.StopReason = (object?)output.StopString ?? output.StopTokenId;
        }

        if (request.ScoresOnly)
            return choice;
        choice.Text.Append(output.Text);
        choice.TokenIds.AddRange(output.TokenIds);
        choice.Tokens += output.TokenIds.Count;
        for (var i = 0; i < output.Logprobs?.Count; i++)
            choice.Scored.Add(new(output.Logprobs[i], output.TokenIds[i], choice.Offsets!.Next(output.TokenIds[i])));
        return choice;
    }

    private void Open(Choice choice, int prompt, GenerationOutput output)
    {
        choice.IsOpen = true;
        choice.PromptTokenIds = output.PromptTokenIds;
        if (request.Echo)
            choice.Prompt = request.Generations[prompt].Prompt ?? engine.Tokenizer?.Decode(output.PromptTokenIds) ?? "";
        choice.Text.Append(choice.Prompt);
        var sampling = request.Generations[prompt].Sampling;
        choice.HasText = engine.Tokenizer is not null && sampling.Detokenize;
        choice.Offsets = new(choice.HasText ? engine.Tokenizer : null, sampling.SkipSpecialTokens, TextOffsets.Length(choice.Prompt));
    }

    // A prompt's log-probabilities come with its first choice. Outputs of other choices may arrive earlier.
    private bool WaitsForScores(Choice choice) => request.Echo && WantsLogprobs && choice.PromptLogprobs is null;

    private TextChoice ToWire(Choice choice, bool whole)
    {
        var sendsPrompt = whole || !choice.HasBegun;
        if (sendsPrompt && request.Echo && WantsLogprobs && choice.PromptLogprobs is { } echoed)
        {
            var places = TextOffsets.OfPrompt(engine.Tokenizer, choice.Prompt, choice.PromptTokenIds);
            choice.Scored.InsertRange(0, echoed.Select((position, index) => new ScoredToken(position, choice.PromptTokenIds[index], places[index])));
        }

        return new(choice.Index, choice.Text.ToString())
        {
            Logprobs = WantsLogprobs ? _logprobs.ToText(choice.Scored.Take(choice.Ready), choice.End) : null,
            FinishReason = choice.FinishReason,
            StopReason = choice.StopReason,
            TokenIds = request.ReturnTokenIds ? [.. choice.TokenIds] : null,
            PromptTokenIds = request.ReturnTokenIds && sendsPrompt ? choice.PromptTokenIds : null,
            PromptLogprobs = request.PromptLogprobs && sendsPrompt && choice.PromptLogprobs is { } scores ? LogprobsMapping.ToPrompt(scores) : null,
        };
    }

    private Usage Usage()
    {
        var (prompts, made) = (_promptTokens.Sum(), _choices.Sum(choice => choice.Tokens));
        return new(prompts, prompts + made, made) { PromptTokensDetails = new(_cachedTokens.Sum()) };
    }

    /// <summary>One choice: what has been generated and not yet sent.</summary>
    private sealed class Choice(int index)
    {
        private int _sent; // code points

        public int Index => index;

        public bool IsOpen { get; set; }

        public bool HasBegun { get; private set; }

        public StringBuilder Text { get; } = new();

        public List<int> TokenIds { get; } = [];

        public int Tokens { get; set; }

        /// <summary>Tokens with log-probabilities.</summary>
        public List<ScoredToken> Scored { get; } = [];

        /// <summary>Computes the text offsets of the output's tokens.</summary>
        public TextOffsets? Offsets { get; set; }

        /// <summary>The prompt's text, if the response begins with it.</summary>
        public string Prompt { get; set; } = "";

        /// <summary>Whether tokens are decoded to text at all.</summary>
        public bool HasText { get; set; }

        /// <summary>The end of the text generated so far, in code points.</summary>
        public int End => _sent + TextOffsets.Length(Text.ToString());

        /// <summary>
        /// The number of <see cref="Scored"/> tokens that can be sent. Text is held back while it may become a stop string or is an
        /// incomplete character. The tokens of such text wait too, because their offset may turn out to lie past the end of the text.
        /// </summary>
        public int Ready
        {
            get
            {
                var end = End;
                return HasText && FinishReason is null && Scored.FindIndex(token => token.Offset >= end) is >= 0 and var held ? held : Scored.Count;
            }
        }

        public IReadOnlyList<int> PromptTokenIds { get; set; } = [];

        public IReadOnlyList<TokenLogprobs?>? PromptLogprobs { get; set; }

        public string? FinishReason { get; set; }

        public object? StopReason { get; set; }

        public bool HasNews(bool logprobs, bool ids) => Text.Length > 0 || FinishReason is not null || (logprobs && Ready > 0) || (ids && TokenIds.Count > 0);

        public void Sent()
        {
            HasBegun = true;
            Scored.RemoveRange(0, Ready);
            _sent = End;
            Text.Clear();
            TokenIds.Clear();
        }
    }
}
