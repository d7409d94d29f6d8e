using System.CommandLine;
using LocalLlm.Tool.Arguments;

namespace LocalLlm.Tool.Commands;

/// <summary><c>localllm embed</c>: a file of texts → a file of embeddings.</summary>
internal static class EmbedCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Create(Terminal terminal)
    {
        var engineArguments = new EngineArguments(models: ModelKinds.Encoders);
        var files = new LineFileArguments(
            "One text a line: an object with text and, if wanted, an id, or a JSON string",
            "One result a line (id, dense, sparse, colbert, tokens, or error)");
        var model = Options.Model();
        var dense = Options.Flag("--dense", "One vector for each text; the default where none of the three is given.");
        var sparse = Options.Flag("--sparse", "Token ids with their weights.");
        var colbert = Options.Flag("--colbert", "A vector for each token but the first.");
        var truncate = Options.Flag("--truncate", "Cuts texts that are too long at their end; otherwise they are refused.");
        var command = new Command("embed", "Embeds a file of texts with an embedding model (bge-m3 and its kind).") { model, dense, sparse, colbert, truncate };
        files.AddTo(command);
        engineArguments.AddEncodersTo(command);
        VllmOptions.AddTo(command);
        command.SetAction(async (result, cancellationToken) =>
        {
            var options = engineArguments.Build(result, result.GetValue(model));
            var kinds = (result.GetValue(dense) ? EmbeddingKinds.Dense : 0) | (result.GetValue(sparse) ? EmbeddingKinds.Sparse : 0) | (result.GetValue(colbert) ? EmbeddingKinds.MultiVector : 0);
            using var opened = files.Open(result, terminal);
            return await EmbedLines.RunAsync(options, kinds == EmbeddingKinds.None ? EmbeddingKinds.Dense : kinds, result.GetValue(truncate), opened, terminal, cancellationToken);
        });
        return command;
    }
}
