using System.Globalization;
using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Tokenizers;
using LocalLlm.Tool.JsonLines;

namespace LocalLlm.Tool.Commands;

/// <summary>
/// Runs lines through a tokenizer. A line's own <c>add_special_tokens</c> and <c>skip_special_tokens</c> override the command's
/// options; other members (such as an id) are ignored.
/// </summary>
internal sealed class TokenizerLines
{
    /// <summary>Whether the tokenizer adds its special tokens to a text.</summary>
    public bool AddSpecialTokens { get; init; } = true;

    /// <summary>Whether special tokens are left out of decoded text.</summary>
    public bool SkipSpecialTokens { get; init; }

    /// <summary>Whether every line holds ids; otherwise the members of each line decide.</summary>
    public bool OnlyDetokenize { get; init; }

    /// <summary>Loads the tokenizer and processes every line.</summary>
    public static async Task<int> RunAsync(
        string folder,
        TokenizerLines lines,
        Func<LineFiles> open,
        Terminal terminal,
        CancellationToken cancellationToken)
    {
        using var files = open();
        var tokenizer = Tokenizer.Load(folder);
        files.Truncate();
        var run = new OrderedLines(files.Input, files.Output, (line, cancelled) =>
            LineHandler.Compute(line, element => lines.Answer(element, tokenizer), error => LineResult.Error(error), cancelled));
        var counts = await LineProgress.ShowAsync(terminal, written => run.RunAsync(written, cancellationToken));
        await files.Output.FlushAsync(cancellationToken);
        if (counts.Failed > 0)
            await terminal.ErrorText.WriteLineAsync(string.Create(
                CultureInfo.InvariantCulture,
                $"{counts.Failed} of {counts.Lines} lines failed"));
        return ExitCodes.Success;
    }

    private LineResult Answer(JsonElement line, Tokenizer tokenizer)
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(line, errors);
        var text = fields.LenientText("text");
        var ids = fields.TokenIds("token_ids");
        var (hasText, hasIds) = (fields.Take("text") is not null, fields.Take("token_ids") is not null);
        var addSpecialTokens = fields.Boolean("add_special_tokens") ?? AddSpecialTokens;
        var skipSpecialTokens = fields.Boolean("skip_special_tokens") ?? SkipSpecialTokens;
        if (OnlyDetokenize && !hasIds)
            errors.Add("token_ids", "nothing", "a list of token ids");
        else if (hasText == hasIds && !OnlyDetokenize)
            errors.Add("text", hasText ? "text and token_ids" : "neither text nor token_ids", "text, or token_ids to turn into text");
        errors.ThrowIfAny();
        return ids is not null ? Text(tokenizer.Decode(ids, skipSpecialTokens)) : Ids(tokenizer.Encode(text!, addSpecialTokens));
    }

    private static LineResult Text(string text) => LineResult.Object(writer => writer.WriteString("text", text));

    private static LineResult Ids(int[] ids) => LineResult.Object(writer =>
    {
        writer.WriteStartArray("token_ids");
        foreach (var id in ids)
            writer.WriteNumberValue(id);
        writer.WriteEndArray();
    });
}
