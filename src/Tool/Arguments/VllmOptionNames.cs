namespace LocalLlm.Tool.Arguments;

/// <summary>
/// Further options of <c>vllm serve</c> and <c>vllm bench</c>; some commands have them. They let the program
/// tell "not available here" from a misspelling.
/// </summary>
internal static class VllmOptionNames
{
    private const string Names = """
        host port nnodes node-rank master-addr master-port headless distributed-executor-backend uds root-path api-key ssl-keyfile ssl-certfile ssl-ca-certs ssl-cert-reqs allowed-origins allowed-methods
        allowed-headers revision download-dir served-model-name block-size reasoning-parser tool-call-parser
        default-chat-template-kwargs response-role shutdown-timeout dataset-name dataset-path async-engine disable-detokenize
        num-iters-warmup profile use-beam-search n backend lora-path prefix-len random-range-ratio random-input-len
        random-output-len request-rate max-concurrency hf-subset hf-split url base-url model-name system-prompt quick
        """;

    private static readonly HashSet<string> All = [.. Names.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Select(name => "--" + name)];

    /// <summary>Whether vLLM has the option, <c>--no-</c> forms included.</summary>
    public static bool Contains(string name) =>
        VllmOptions.Contains(name) || All.Contains(name) || (name.StartsWith("--no-", StringComparison.Ordinal) && All.Contains("--" + name[5..]));
}
