using System.Text;
using LocalLlm.Parsing;

namespace LocalLlm.Tests.Parsing;

/// <summary>Runs parsers over texts that are cut in every way.</summary>
internal static class ParsingKit
{
    public static readonly string[] Formats = ["deepseek_v3", "deepseek_v31", "hermes", "llama3_json"];

    /// <summary>Parses a text that arrives in pieces of the given lengths, and joins neighbouring parts of the same kind.</summary>
    public static List<ResponsePart> Parse(IOutputParser parser, string text, Func<int> nextLength, bool isCut = false)
    {
        var pieces = new List<ResponsePart>();
        for (var at = 0; at < text.Length;)
        {
            var length = Math.Min(Math.Max(1, nextLength()), text.Length - at);
            parser.Append(text.AsSpan(at, length), pieces);
            at += length;
        }

        parser.Finish(pieces, isCut);
        return Joined(pieces);
    }

    /// <summary>The tools that were called, with their arguments.</summary>
    public static List<(string Name, string Arguments)> Calls(IEnumerable<ResponsePart> pieces)
    {
        var calls = new List<(string Name, string Arguments)>();
        foreach (var piece in Joined(pieces))
        {
            if (piece.Kind == ResponsePartKind.ToolCall)
                calls.Add((piece.Value, ""));
            else if (piece.Kind == ResponsePartKind.ToolArguments)
                calls[^1] = (calls[^1].Name, piece.Value);
        }

        return calls;
    }

    public static List<ResponsePart> Whole(IOutputParser parser, string text) => Parse(parser, text, () => int.MaxValue);

    public static IOutputParser Tools(string format) => ToolCallFormats.Find(format)!.Value.CreateParser();

    /// <summary>Writes the parts in readable form: [kind:name]value, one line each.</summary>
    public static string Show(IEnumerable<ResponsePart> pieces) =>
        string.Join('\n', pieces.Select(piece => $"{piece.Kind} {piece.Value}")).Replace("ToolCall ", "CALL ").Replace("\nToolArguments", "").Replace("\nToolCallEnd ", "").Replace("\nToolCallCut ", "");

    private static List<ResponsePart> Joined(IEnumerable<ResponsePart> pieces)
    {
        var joined = new List<ResponsePart>();
        var text = new StringBuilder();
        foreach (var piece in pieces)
        {
            var isSingle = piece.Kind is ResponsePartKind.ToolCall or ResponsePartKind.ToolCallEnd or ResponsePartKind.ToolCallCut;
            if (isSingle || joined.Count == 0 || joined[^1].Kind != piece.Kind)
            {
                End();
                joined.Add(piece);
            }

            text.Append(piece.Value);
        }

        End();
        return joined;

        void End()
        {
            if (joined.Count > 0)
                joined[^1] = joined[^1] with { Value = text.ToString() };
            text.Clear();
        }
    }
}
