using System.CommandLine;
using LocalLlm.Tokenizers;

namespace LocalLlm.Tool.Arguments;

/// <summary>The options that name the folder or repository with the tokenizer's files; it needs no weights.</summary>
internal sealed class TokenizerArguments
{
    private readonly Argument<string?> _positional = Options.Model();
    private readonly Option<string?> _model = Options.Text(
        "--model",
        "A folder with tokenizer.json and, where there is one, tokenizer_config.json; or org/name of a hub, of which only these are downloaded.",
        "DIR|ORG/NAME",
        "--tokenizer");
    private readonly HubArguments _hub = new();

    /// <summary>Adds the options to <paramref name="command"/>.</summary>
    public void AddTo(Command command)
    {
        command.Add(_positional);
        command.Add(_model);
        foreach (var option in _hub.All)
            command.Add(option);
    }

    /// <summary>The folder; downloads it if necessary.</summary>
    /// <exception cref="UsageException">The folder was given twice, or not at all.</exception>
    /// <exception cref="EngineException">The folder has no tokenizer, or the repository cannot be downloaded.</exception>
    public async Task<string> FolderOfAsync(ParseResult result, Terminal terminal, CancellationToken cancellationToken)
    {
        var name = NameOf(result);
        var folder = await ModelDownload.TokenizerAsync(name, _hub.Build(result, terminal), terminal, cancellationToken);
        if (!Tokenizer.Exists(folder) && ModelSource.FaultOf(folder) is { } fault)
            throw new EngineException(EngineErrorKind.ModelFolder, $"The folder '{name}' has no {Tokenizer.FileName}; it {fault}.");
        return folder;
    }

    private string NameOf(ParseResult result) => (result.GetValue(_model), result.GetValue(_positional)) switch
    {
        ({ } named, null) => named,
        (null, { } positional) => positional,
        (null, null) => throw new UsageException("no model is given; add --model DIR"),
        _ => throw new UsageException("the model is given twice; give it once"),
    };
}
