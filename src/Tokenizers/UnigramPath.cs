using System.Runtime.CompilerServices;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>The last piece on the best path to a position of a text.</summary>
/// <param name="Score">Sum of the scores on the path.</param>
/// <param name="Start">Where the piece begins, or -1: no path leads here.</param>
/// <param name="Id">The piece.</param>
internal readonly record struct UnigramStep(double Score, int Start, int Id);

/// <summary>
/// The best path through the pieces of a text, by Viterbi's algorithm as in <c>encode_optimized</c> of Hugging Face's
/// <c>tokenizers</c> (and of SentencePiece): linear in the length of the text, times that of the longest piece.
/// </summary>
internal sealed class UnigramPath(PieceTrie trie, double[] scores, int unknownId)
{
    // An unknown character is worth less than any piece.
    private readonly double _unknownScore = scores.Min() - 10;

    /// <summary>Fills <paramref name="steps"/>; read the path backwards from the last one.</summary>
    /// <param name="text">Well-formed UTF-16.</param>
    /// <param name="steps">One for each position of the text, including its end.</param>
    /// <param name="forbidden">
    /// Pieces to leave out, unless they are single characters. If given, the unknown token's own text is left out too. Null: none.
    /// </param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Find(ReadOnlySpan<char> text, Span<UnigramStep> steps, IdSet? forbidden)
    {
        steps.Fill(new(0, -1, 0));
        for (var at = 0; at < text.Length;)
        {
            CodePoints.At(text, at, out var width);
            var score = steps[at].Score;
            var covered = false; // a single-character piece was found here
            var node = PieceTrie.Root;
            for (var end = at; end < text.Length && (node = trie.Child(node, text[end])) != PieceTrie.Root;)
            {
                end++;
                var id = trie.IdAt(node);
                if (id < 0 || forbidden is not null && end - at > width && (id == unknownId || forbidden.Contains(id)))
                    continue;
                covered |= end - at == width;
                Improve(ref steps[end], scores[id] + score, at, id);
            }

            if (!covered)
                Improve(ref steps[at + width], _unknownScore + score, at, unknownId);
            at += width;
        }
    }

    // Among equal paths the first found stays: the one with the longest last piece.
    private static void Improve(ref UnigramStep step, double score, int start, int id)
    {
        if (step.Start < 0 || score > step.Score)
            step = new(score, start, id);
    }
}
