using System.CommandLine;
using System.Text.RegularExpressions;

namespace LocalLlm.Tool.Arguments;

/// <summary>
/// The options of <c>vllm serve</c> that this program does not have: what each asks for, and whether this program does so anyway.
/// The names come from vLLM's engine and server arguments, versions 0.6 to 0.14.
/// </summary>
internal static partial class VllmOptions
{
    // both NAME: --NAME and --no-NAME change nothing. on: only --NAME changes nothing; off: only --no-NAME does; no: only
    // --no-NAME is new. value NAME/-ALIAS ACCEPTED,…: other values are refused; * accepts all, # numbers of 0 or more. never
    // NAME: refused. The reason follows the bar.
    private const string Table = """
        both trust-remote-code
        both use-tqdm-on-load
        both disable-custom-all-reduce
        both disable-cascade-attn
        both disable-chunked-mm-input
        both disable-hybrid-kv-cache-manager
        both disable-mm-preprocessor-cache
        both skip-mm-profiling
        both interleave-mm-strings
        both language-model-only
        both aggregate-engine-logging
        both disable-nccl-for-dp-synchronization
        both use-v2-block-manager
        both disable-async-output-proc
        both multi-step-stream-outputs
        both enable-flash-late-interaction
        both enable-log-deltas
        both cohere-is-reasoning-model
        on enable-reasoning | thoughts are told apart from answers unless --reasoning-parser none is given
        on enable-auto-tool-choice | a model may always choose tools; requests say tool_choice: none
        on enable-prompt-tokens-details | usage always says how many prompt tokens were cached
        on disable-log-requests | requests are never logged; /metrics counts them
        on disable-log-stats | statistics are not logged; read /metrics
        on disable-uvicorn-access-log | there is no access log; put one into the proxy
        on disable-fastapi-docs | there are no generated pages of documentation
        on disable-frontend-multiprocessing | server and engine are one process
        on async-scheduling | the next step is launched ahead wherever it can be
        on enable-server-load-tracking | GET /load always answers
        on log-error-stack | failures of the server are always logged with their stack
        off enable-log-requests | requests are never logged; /metrics counts them
        off enable-log-outputs | answers are never logged
        off disable-sliding-window | a model's sliding window is computed as its configuration says
        off enable-prompt-embeds | prompts are texts, chats or token ids
        off enable-mm-embeds | the models take text only
        off mm-encoder-only | the models take text only
        off enable-sleep-mode | the engine does not leave the device while the process lives
        off enable-ep-weight-filter | every rank reads its own experts alone as it is
        off enable-return-routed-experts | which experts computed a token is not returned
        off enable-dbo | one device computes one batch at a time
        off data-parallel-hybrid-lb | one engine runs in a process; start several behind a load balancer
        off data-parallel-external-lb | one engine runs in a process; start several behind a load balancer
        off ray-workers-use-nsight | there are no Ray workers
        off worker-use-ray | there are no Ray workers
        off engine-use-ray | there are no Ray workers
        off calculate-kv-scales | an fp8 KV cache has scales of its own for each token and head
        off kv-sharing-fast-prefill | the supported models share no KV cache between layers
        off enable-lora | LoRA adapters are not supported; merge the adapter into its model
        off enable-lora-bias | LoRA adapters are not supported; merge the adapter into its model
        off fully-sharded-loras | LoRA adapters are not supported; merge the adapter into its model
        off enable-tower-connector-lora | LoRA adapters are not supported; merge the adapter into its model
        off enable-prompt-adapter | prompt adapters are not supported
        off trust-request-chat-template | requests cannot bring a chat template; set one with --chat-template
        off exclude-tools-when-tool-choice-none | the tools stay in the prompt; requests that want none leave them out
        off return-tokens-as-token-ids | requests ask for it with return_tokens_as_token_ids
        off enable-per-request-metrics | answers carry no timings; read /metrics
        off enable-tokenizer-info-endpoint | there is no /tokenizer_info; /tokenize and /detokenize answer
        off enable-offline-docs | there are no generated pages of documentation
        off enable-ssl-refresh | certificates are read at the start; restart the server for new ones
        off enable-layerwise-nvtx-tracing | there are no NVTX ranges
        off enable-mfu-metrics | it is not measured; see /metrics
        off enable-logging-iteration-details | steps are not logged; see /metrics
        off enable-mm-processor-stats | the models take text only
        off kv-cache-metrics | see /metrics for what the KV cache tells
        off cudagraph-metrics | see /metrics for what is measured
        off fail-on-environ-validation | vLLM's environment variables are not read
        off tokens-only | all routes are served
        off grpc | the server speaks HTTP
        off speculative-disable-mqa-scorer | drafts are always verified together
        off disable-logprobs-during-spec-decoding | speculative decoding gives all log-probabilities
        no enforce-eager
        no skip-tokenizer-init
        no allow-credentials
        no enable-request-id-headers
        no enable-force-include-usage
        value tokenizer-mode auto,hf,fast | tokenizers are read from tokenizer.json
        value config-format auto,hf | config.json is the only configuration that is read
        value model-impl auto,vllm | every model is computed by the engine's own implementation
        value task auto,generate,embed,embedding,score | models generate text, or embed it
        value runner auto,generate,pooling | models generate text, or embed it
        value convert auto,none,embed | the model's own type decides how it is loaded
        value code-revision * | -
        value swap-space # | there is no swap space: preempted sequences are computed again
        value cpu-offload-gb 0 | weights stay on the device
        value data-parallel-size-local/-dpl 1 | one engine runs in a process; start several behind a load balancer
        value data-parallel-rank/-dpn 0 | one engine runs in a process
        value data-parallel-start-rank/-dpr 0 | one engine runs in a process
        value data-parallel-backend/-dpb mp | one engine runs in a process
        value decode-context-parallel-size/-dcp 1 | this build runs on one device
        value prefill-context-parallel-size/-pcp 1 | this build runs on one device
        value api-server-count/-asc 1 | server and engine are one process
        value num-scheduler-steps 1 | steps are scheduled one by one, and launched ahead
        value num-lookahead-slots 0 | see --speculative-config
        value scheduler-delay-factor 0 | prompts are scheduled at once
        value max-num-partial-prefills 1 | one long prompt is computed at a time; see --long-prefill-token-threshold
        value max-long-partial-prefills 1 | one long prompt is computed at a time; see --long-prefill-token-threshold
        value preemption-mode recompute | preempted sequences are computed again
        value stream-interval 1 | see --max-stream-events
        value performance-mode balanced | there is one mode
        value tokenizer-pool-size 0 | tokenizers run in this process
        value guided-decoding-backend auto,xgrammar,guidance,outlines,lm-format-enforcer,auto:no-fallback,xgrammar:no-fallback,guidance:no-fallback,outlines:no-fallback,lm-format-enforcer:no-fallback | the engine has one implementation of structured output
        value structured-outputs-config {},{"backend":"auto"},{"backend":"xgrammar"},{"backend":"guidance"},{"backend":"outlines"},{"backend":"lm-format-enforcer"} | the engine has one implementation of structured output
        value attention-backend auto | the device decides
        value worker-cls auto | there is one kind of worker
        value worker-extension-cls "" | no foreign code is loaded
        value mamba-cache-dtype auto | there are no state-space layers in the supported models
        value mamba-ssm-cache-dtype auto | there are no state-space layers in the supported models
        value expert-placement-strategy linear | experts lie on the ranks in the order of their numbers
        value num-redundant-experts 0 | give it in --eplb-config
        value safetensors-load-strategy lazy | weights are read in chunks by several threads
        value pt-load-map-location cpu | weights are read by the CPU
        value chat-template-content-format auto | the template decides
        value max-log-len # | requests are never logged
        value disable-access-log-for-endpoints * | -
        value uvicorn-log-level info,warning | the level of the log is fixed
        value kv-offloading-size 0 | the KV cache stays on the device
        value mm-processor-cache-gb 0 | the models take text only
        value limit-mm-per-prompt {},{"image":0},{"video":0},{"audio":0},{"image":0,"video":0},{"image":0,"video":0,"audio":0} | the models take text only
        value hf-overrides {} | config.json is taken as it is; edit a copy of it
        value override-generation-config {} | requests give these fields; --generation-config vllm leaves the model's own defaults out
        value pooler-config {} | an encoder pools as its files specify
        value override-pooler-config {} | an encoder pools as its files specify
        value model-loader-extra-config {} | weights are read in one way
        value compilation-config/-cc/-O {} | kernels are written by hand; there is nothing to compile
        value additional-config {} | there are no plug-ins
        value attention-config {} | the device decides
        never optimization-level | kernels are written by hand; there is nothing to compile
        never config | give appsettings.json, environment variables or options
        never hf-config-path | config.json is read from the model's folder
        never hf-token | set HF_TOKEN
        never tokenizer-revision | give --tokenizer ORG/NAME@REVISION
        never rope-scaling | config.json is taken as it is; edit a copy of it
        never rope-theta | config.json is taken as it is; edit a copy of it
        never logits-processors | no foreign code is loaded; requests have logit_bias, bad_words and allowed_token_ids
        never logits-processor-pattern | no foreign code is loaded
        never io-processor-plugin | no foreign code is loaded
        never reasoning-parser-plugin | no foreign code is loaded
        never tool-parser-plugin | no foreign code is loaded
        never middleware | no foreign code is loaded
        never scheduler-cls | no foreign code is loaded
        never reasoning-config | see thinking_token_budget in requests
        never tool-server | the server runs no tools
        never cuda-graph-sizes | sizes follow from --max-num-seqs; --enforce-eager records none
        never cudagraph-capture-sizes | sizes follow from --max-num-seqs; --enforce-eager records none
        never max-cudagraph-capture-size | sizes follow from --max-num-seqs; --enforce-eager records none
        never max-seq-len-to-capture | graphs are recorded for all lengths; --enforce-eager records none
        never max-context-len-to-capture | graphs are recorded for all lengths; --enforce-eager records none
        never spec-model | there is no second model that drafts; see --speculative-config
        never speculative-model | there is no second model that drafts; see --speculative-config
        never num-speculative-tokens | give it in --speculative-config
        never ngram-prompt-lookup-max | give it in --speculative-config
        never ngram-prompt-lookup-min | give it in --speculative-config
        never quantization-param-path | scales are read from the checkpoint
        never max-parallel-loading-workers | the engine chooses how many threads read
        never ignore-patterns | only the files that are needed are downloaded
        never prefix-caching-hash-algo | blocks are compared token by token, not by their hash alone
        never mamba-block-size | there are no state-space layers in the supported models
        never kv-offloading-backend | the KV cache stays on the device
        never kv-transfer-config | the KV cache stays on the device
        never kv-events-config | the KV cache sends no events
        never ec-transfer-config | the models take text only
        never all2all-backend | every rank has all tokens, so none is sent to an expert
        never data-parallel-address/-dpa | one engine runs in a process
        never data-parallel-rpc-port/-dpp | one engine runs in a process
        never distributed-timeout-seconds | this build runs on one device
        never allowed-local-media-path | the models take text only
        never allowed-media-domains | the models take text only
        never media-io-kwargs | the models take text only
        never mm-processor-kwargs | the models take text only
        never mm-processor-cache-type | the models take text only
        never mm-encoder-tp-mode | the models take text only
        never mm-encoder-attn-backend | the models take text only
        never video-pruning-rate | the models take text only
        never max-loras | LoRA adapters are not supported; merge the adapter into its model
        never max-lora-rank | LoRA adapters are not supported; merge the adapter into its model
        never lora-extra-vocab-size | LoRA adapters are not supported; merge the adapter into its model
        never lora-dtype | LoRA adapters are not supported; merge the adapter into its model
        never max-cpu-loras | LoRA adapters are not supported; merge the adapter into its model
        never default-mm-loras | LoRA adapters are not supported; merge the adapter into its model
        never lora-modules | LoRA adapters are not supported; merge the adapter into its model
        never long-lora-scaling-factors | LoRA adapters are not supported; merge the adapter into its model
        never qlora-adapter-name-or-path | LoRA adapters are not supported; merge the adapter into its model
        never show-hidden-metrics-for-version | no metrics are hidden
        never otlp-traces-endpoint | traces go to whoever listens in a host application
        never collect-detailed-traces | traces go to whoever listens in a host application
        never log-config-file | the log goes to standard error
        never ssl-ciphers | the system decides
        never h11-max-incomplete-event-size | headers may have 32 KiB in all
        never h11-max-header-count | requests may have 100 headers
        never fingerprint-mode | the fingerprint is the server's version
        never fingerprint-value | the fingerprint is the server's version
        never cohere-format | chats are rendered by the model's own template
        never data-parallel-supervisor-port | one engine runs in a process
        never profiler-config | there is no profiler; see 'localllm bench'
        never weight-transfer-config | weights are read from the model's folder
        never afd-config | one engine runs in a process
        never fault-tolerance-config | the supervisor of the process starts it again
        never kernel-config | the device decides
        never moe-backend | a device has one implementation of experts
        never mamba-cache-mode | there are no state-space layers in the supported models
        never kv-cache-dtype-skip-layers | --kv-cache-dtype applies to all layers
        never renderer-num-workers | texts become tokens on the threads of their requests
        never max-num-scheduled-tokens | see --max-num-batched-tokens
        never tokenizer-pool-type | tokenizers run in this process
        never tokenizer-pool-extra-config | tokenizers run in this process
        never max-prompt-adapters | prompt adapters are not supported
        never max-prompt-adapter-token | prompt adapters are not supported
        never override-neuron-config | the devices are CPUs and NVIDIA's GPUs
        never speculative-model-quantization | there is no second model that drafts; see --speculative-config
        never speculative-draft-tensor-parallel-size | there is no second model that drafts; see --speculative-config
        never speculative-max-model-len | give it in --speculative-config
        never speculative-disable-by-batch-size | sequences whose drafts are wrong get none, in batches of any size
        never spec-method | give it in --speculative-config
        never spec-tokens | give it in --speculative-config
        never spec-decoding-acceptance-method | a draft is accepted only where the output without it has the same token
        never typical-acceptance-sampler-posterior-threshold | a draft is accepted only where the output without it has the same token
        never typical-acceptance-sampler-posterior-alpha | a draft is accepted only where the output without it has the same token
        never dp-supervisor-probe-interval-s | one engine runs in a process
        never dp-supervisor-probe-timeout-s | one engine runs in a process
        never dp-supervisor-probe-failure-threshold | one engine runs in a process
        """;

    private const string SpeculativeConfig = "--speculative-config";
    private const string BalancingConfig = "--eplb-config";

    private static readonly List<Func<VllmOption>> All = [.. Table.Split('\n').Select(line => line.Trim()).SelectMany(Read)];

    /// <summary>Adds the options that the command does not have itself.</summary>
    public static void AddTo(Command command)
    {
        var own = command.Options.SelectMany(option => option.Aliases.Append(option.Name)).ToHashSet(StringComparer.Ordinal);
        foreach (var create in All)
        {
            var option = create();
            if (!own.Overlaps(option.Aliases.Append(option.Name)))
                command.Add(option);
        }
    }

    /// <summary>The refusals of the given options.</summary>
    public static IEnumerable<string> RefusalsOf(ParseResult result) =>
        from option in result.CommandResult.Command.Options.OfType<VllmOption>()
        let given = result.GetResult(option)
        where given is { Implicit: false }
        let refusal = option.Refusal([.. given.Tokens.Select(token => token.Value)])
        where refusal is not null
        select refusal;

    /// <summary>
    /// The refusal of a name that the command's parser does not know, such as <c>-O3</c> or <c>--speculative-config.method</c>;
    /// null if the name is none of these options.
    /// </summary>
    /// <param name="name">The name, without a value.</param>
    public static string? RefusalOf(string name)
    {
        if (name.StartsWith(SpeculativeConfig + ".", StringComparison.Ordinal))
            return $"{name} is not available here: give the whole as one JSON object, such as {SpeculativeConfig} {{\"method\":\"ngram\",\"num_speculative_tokens\":4}}.";
        if (name.StartsWith(BalancingConfig + ".", StringComparison.Ordinal))
            return $"{name} is not available here: give the whole as one JSON object, such as {BalancingConfig} {{\"num_redundant_experts\":32}}.";
        var dot = name.IndexOf('.', StringComparison.Ordinal);
        var (whole, isPart) = Level().IsMatch(name) ? ("--optimization-level", true) : dot > 0 ? (name[..dot], true) : (name, false);
        return Find(whole) is { Reason: not null } option && (isPart || option.IsRefused) ? option.Unavailable(name) : null;
    }

    /// <summary>Whether a name belongs to one of these options.</summary>
    public static bool Contains(string name) => Find(name) is not null;

    private static VllmOption? Find(string name) =>
        All.Select(create => create()).FirstOrDefault(option => option.Name == name || option.Aliases.Contains(name));

    /// <summary>
    /// Refuses <c>--task</c>, <c>--runner</c> and <c>--convert</c> if they ask for something other than what the model does.
    /// </summary>
    /// <exception cref="UsageException">One of them asks for something else.</exception>
    public static void CheckTask(ParseResult result, bool isEncoder, string model)
    {
        foreach (var option in result.CommandResult.Command.Options.OfType<VllmOption>())
        {
            if (option.Name is not ("--task" or "--runner" or "--convert") || result.GetResult(option)?.Tokens is not [var token, ..])
                continue;
            if (isEncoder ? token.Value == "generate" : token.Value is "embed" or "embedding" or "score" or "pooling")
            {
                var does = isEncoder ? "embeds texts and generates none" : "generates text and embeds none";
                throw new UsageException($"{option.Name} {token.Value}: {model} {does}; leave it out, or give another model");
            }
        }
    }

    private static IEnumerable<Func<VllmOption>> Read(string line)
    {
        var bar = line.IndexOf(" | ", StringComparison.Ordinal);
        var words = (bar < 0 ? line : line[..bar]).Split(' ');
        var reason = bar < 0 ? null : line[(bar + 3)..];
        var names = words[1].Split('/');
        var (name, aliases) = (names[0], names[1..]);
        return words[0] switch
        {
            "both" => [() => VllmOption.Flag("--" + name, null), () => VllmOption.Flag("--no-" + name, null)],
            "on" => [() => VllmOption.Flag("--" + name, null), () => VllmOption.Flag("--no-" + name, reason)],
            "off" => [() => VllmOption.Flag("--" + name, reason), () => VllmOption.Flag("--no-" + name, null)],
            "no" => [() => VllmOption.Flag("--no-" + name, null)],
            "value" => [() => VllmOption.Valued("--" + name, aliases, Values(words[2]), reason!)],
            _ => [() => VllmOption.Valued("--" + name, aliases, [], reason!)],
        };
    }

    // Commas inside braces separate members, not values.
    private static string[] Values(string text) => [.. Separator().Split(text).Select(value => value == "\"\"" ? "" : value)];

    [GeneratedRegex(@"\A-O[0-9]\z")]
    private static partial Regex Level();

    [GeneratedRegex(@",(?![^{]*\})")]
    private static partial Regex Separator();
}
