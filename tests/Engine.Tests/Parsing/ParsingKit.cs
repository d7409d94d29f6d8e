using LocalLlm.Parsing;

namespace LocalLlm.Tests.Parsing;

/// <summary>Runs parsers over texts that are cut in every way.</summary>
internal static class ParsingKit
{
    public static readonly string[] Formats = ["deepseek_v3", "deepseek_v31", "hermes", "llama3_json"];

    /// <summary>The pieces of a text that comes in bits of the given lengths (the last one repeated), neighbours of one kind joined.</summary>
    public static List<OutputPiece> Parse(IOutputParser parser, string text, Func<int> nextLength, bool isCut = false)
    {
        var pieces = new List<OutputPiece>();
        for (var at = 0; at < text.Length;)
        {
            var length = Math.Min(Math.Max(1, nextLength()), text.Length - at);
            parser.Append(text.AsSpan(at, length), pieces);
            at += length;
        }

        parser.Finish(pieces, isCut);
        return Joined(pieces);
    }

    public static List<OutputPiece> Whole(IOutputParser parser, string text) => Parse(parser, text, () => int.MaxValue);

    public static IOutputParser Tools(string format) => ToolCallFormats.Find(format)!.Value.CreateParser();

    /// <summary>As a reader would write it down: [kind:name]value, one line each.</summary>
    public static string Show(IEnumerable<OutputPiece> pieces) =>
        string.Join('\n', pieces.Select(piece => piece.Kind == OutputPieceKind.ToolCall ? $"CALL {piece.ToolName} {piece.Value}" : $"{piece.Kind} {piece.Value}"));

    private static List<OutputPiece> Joined(List<OutputPiece> pieces)
    {
        var joined = new List<OutputPiece>();
        foreach (var piece in pieces)
        {
            if (piece.Kind != OutputPieceKind.ToolCall && joined.Count > 0 && joined[^1].Kind == piece.Kind)
                joined[^1] = piece with { Value = joined[^1].Value + piece.Value };
            else
                joined.Add(piece);
        }

        return joined;
    }
}
