namespace LocalLlm.Server.Arguments;

/// <summary>Options of <c>vllm serve</c> and <c>vllm bench</c>, to tell "not available here" from a misspelling.</summary>
internal static class VllmOptionNames
{
    private const string Names = """
        host port uds root-path api-key ssl-keyfile ssl-certfile ssl-ca-certs ssl-cert-reqs allowed-origins allowed-methods allowed-headers
        allow-credentials uvicorn-log-level disable-uvicorn-access-log disable-access-log-for-endpoints middleware headless api-server-count
        config tokenizer-mode tokenizer-revision revision code-revision trust-remote-code hf-config-path hf-overrides hf-token runner convert
        task quantization disable-custom-all-reduce cpu-offload-gb swap-space load-format download-dir model-loader-extra-config
        ignore-patterns use-tqdm-on-load pt-load-map-location safetensors-load-strategy config-format allowed-local-media-path
        allowed-media-domains disable-sliding-window disable-cascade-attn enable-prompt-embeds served-model-name override-generation-config
        enable-sleep-mode model-impl logits-processors io-processor-plugin pooler-config max-seq-len-to-capture
        data-parallel-size data-parallel-rank data-parallel-start-rank data-parallel-size-local data-parallel-address data-parallel-rpc-port
        data-parallel-backend data-parallel-hybrid-lb data-parallel-external-lb enable-expert-parallel all2all-backend enable-dbo enable-eplb
        eplb-config expert-placement-strategy num-redundant-experts max-parallel-loading-workers ray-workers-use-nsight
        distributed-executor-backend worker-cls worker-extension-cls decode-context-parallel-size prefill-context-parallel-size nnodes
        node-rank master-addr master-port nnodes enable-ep-weight-filter
        kv-cache-dtype block-size prefix-caching-hash-algo calculate-kv-scales kv-sharing-fast-prefill mamba-cache-dtype mamba-block-size
        kv-offloading-size kv-offloading-backend kv-transfer-config kv-events-config ec-transfer-config
        max-num-partial-prefills max-long-partial-prefills num-lookahead-slots scheduling-policy scheduler-cls async-scheduling
        disable-chunked-mm-input disable-hybrid-kv-cache-manager stream-interval preemption-mode multi-step-stream-outputs
        limit-mm-per-prompt media-io-kwargs mm-processor-kwargs mm-processor-cache-gb mm-encoder-tp-mode mm-encoder-attn-backend
        interleave-mm-strings skip-mm-profiling video-pruning-rate
        enable-lora enable-lora-bias max-loras max-lora-rank lora-extra-vocab-size lora-dtype max-cpu-loras fully-sharded-loras
        default-mm-loras lora-modules
        show-hidden-metrics-for-version otlp-traces-endpoint collect-detailed-traces kv-cache-metrics enable-layerwise-nvtx-tracing
        speculative-config spec-model compilation-config cudagraph-capture-sizes max-cudagraph-capture-size attention-backend
        attention-config structured-outputs-config guided-decoding-backend reasoning-parser reasoning-parser-plugin reasoning-config
        optimization-level additional-config disable-log-stats enable-log-requests disable-log-requests enable-log-outputs max-log-len
        enable-request-id-headers enable-auto-tool-choice tool-call-parser tool-parser-plugin tool-server chat-template-content-format
        default-chat-template-kwargs trust-request-chat-template response-role exclude-tools-when-tool-choice-none
        return-tokens-as-token-ids disable-frontend-multiprocessing disable-fastapi-docs enable-prompt-tokens-details
        enable-server-load-tracking enable-force-include-usage enable-tokenizer-info-endpoint log-config-file log-error-stack
        aggregate-engine-logging h11-max-incomplete-event-size h11-max-header-count shutdown-timeout fail-on-environ-validation
        dataset-name dataset-path async-engine disable-detokenize num-iters-warmup profile use-beam-search n backend lora-path prefix-len
        random-range-ratio random-input-len random-output-len request-rate max-concurrency hf-subset hf-split
        url base-url model-name system-prompt quick
        """;

    private static readonly HashSet<string> All = [.. Names.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Select(name => "--" + name)];

    /// <summary>Whether vLLM has the option, <c>--no-</c> forms included.</summary>
    public static bool Contains(string name) =>
        All.Contains(name) || (name.StartsWith("--no-", StringComparison.Ordinal) && All.Contains("--" + name[5..]));
}
