using System.CommandLine;
using LocalLlm.Hub;

namespace LocalLlm.Tool.Arguments;

/// <summary>The options for where a model named <c>org/name</c> comes from and where it is stored.</summary>
internal sealed class HubArguments(params string[] downloadDirAliases)
{
    private readonly Option<string?> _hub = Options.Text(
        "--hub",
        "Where a model named as org/name is: auto (default: ModelScope if LOCALLLM_USE_MODELSCOPE or VLLM_USE_MODELSCOPE is set, else Hugging Face), huggingface or modelscope. (Not an option of vLLM's.)",
        "NAME");
    private readonly Option<string?> _revision = Options.Text("--revision", "A branch, a tag or a commit of the model; default: its main branch.", "REV");
    private readonly Option<string?> _downloadDir = Options.Text(
        "--download-dir",
        "The cache that models are downloaded to; default: HF_HOME's, shared with Python tools, or MODELSCOPE_CACHE.",
        "DIR",
        downloadDirAliases);

    /// <summary>All options.</summary>
    public IEnumerable<Option> All => [_hub, _revision, _downloadDir];

    /// <summary>The hub's name, <c>auto</c> by default.</summary>
    public string Hub(ParseResult result) => result.GetValue(_hub) ?? "auto";

    /// <summary>The revision, or null.</summary>
    public string? Revision(ParseResult result) => result.GetValue(_revision);

    /// <summary>The cache folder, or null.</summary>
    public string? DownloadDir(ParseResult result) => result.GetValue(_downloadDir);

    /// <summary>Combines the environment with these options.</summary>
    /// <exception cref="EngineException">The hub is unknown.</exception>
    public HubOptions Build(ParseResult result, Terminal terminal) =>
        ModelSource.HubOptionsOf(Hub(result), Revision(result), DownloadDir(result), terminal.Variable);
}
