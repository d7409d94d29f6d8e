namespace LocalLlm.Samples.Rag.Tests;

/// <summary>Random texts with everything that makes it hard to find sentences.</summary>
internal static class RandomText
{
    private static readonly string[] s_pieces =
        ["word", "Word", " ", " ", "  ", ".", ". ", "!", "? ", "。", "！", "\n", "\n\n", "e.g. ", "Dr. ", "3.5", "\"", "”", "…", "他住在", "北京", "😀", "👩‍👩‍👧", "e\u0301\u0302", "\u200B", "aVeryLongWordWithoutAnyEnd", "\t", "<s>", "\uFDD0"];

    public static string Of(Random random, int pieces) => string.Concat(Enumerable.Range(0, pieces).Select(_ => s_pieces[random.Next(s_pieces.Length)]));
}
