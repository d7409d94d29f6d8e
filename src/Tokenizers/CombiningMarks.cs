using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>
/// Puts very long runs of combining marks into canonical order before normalisation. The platform's normaliser inserts marks one
/// by one, which is quadratic in the length of a run: a megabyte of marks would take minutes.
/// </summary>
internal static class CombiningMarks
{
    private const int LongRun = 256;
    private const string LowestClass = "\u0334"; // combining class 1
    private const string HighClass = "\u0301"; // combining class 230

    public static string OrderLongRuns(string text)
    {
        StringBuilder? result = null;
        var copied = 0;
        for (var i = 0; i < text.Length;)
        {
            var end = RunEnd(text, i);
            if (end - i >= LongRun)
            {
                result ??= new StringBuilder(text.Length);
                result.Append(text, copied, i - copied);
                AppendOrdered(text[i..end], result);
                copied = end;
            }

            i = Math.Max(end, i + 1);
        }

        return result is null ? text : result.Append(text, copied, text.Length - copied).ToString();
    }

    private static int RunEnd(string text, int at)
    {
        while (at < text.Length && text[at] >= 0x300 && CodePoints.Is(CodePoints.At(text, at, out var width), CodePoints.Mark))
            at += width;
        return at;
    }

    private static void AppendOrdered(string run, StringBuilder result)
    {
        // Decompose each mark by itself, then sort stably by class between marks of class 0.
        var decomposed = new Dictionary<Rune, Rune[]>();
        var pending = new List<Rune>();
        var starters = new Dictionary<Rune, bool>();
        foreach (var rune in run.EnumerateRunes())
        {
            if (!decomposed.TryGetValue(rune, out var parts))
                decomposed[rune] = parts = [.. rune.ToString().Normalize(NormalizationForm.FormD).EnumerateRunes()];
            foreach (var part in parts)
            {
                if (!starters.TryGetValue(part, out var isStarter))
                    starters[part] = isStarter = IsStarter(part);
                if (!isStarter)
                {
                    pending.Add(part);
                    continue;
                }

                AppendSorted(pending, result);
                pending.Clear();
                result.Append(part.ToString());
            }
        }

        AppendSorted(pending, result);
    }

    private static void AppendSorted(List<Rune> marks, StringBuilder result)
    {
        // .NET does not expose a mark's class, but it does order two marks: compare the few distinct marks, then sort by counting.
        var distinct = marks.Distinct().ToList();
        var classes = new List<Rune>();
        var classOf = new Dictionary<Rune, int>();
        foreach (var mark in distinct)
        {
            var (low, high) = (0, classes.Count);
            while (low < high)
            {
                var middle = (low + high) / 2;
                if (Precedes(classes[middle], mark))
                    low = middle + 1;
                else
                    high = middle;
            }

            if (low == classes.Count || Precedes(mark, classes[low]))
                classes.Insert(low, mark);
        }

        foreach (var mark in distinct)
            classOf[mark] = classes.FindIndex(other => !Precedes(other, mark));
        foreach (var mark in marks.OrderBy(mark => classOf[mark]))
            result.Append(mark.ToString());
    }

    private static bool IsStarter(Rune rune) => !Swaps(HighClass, rune.ToString()) && !Swaps(rune.ToString(), LowestClass);

    /// <summary>Whether <paramref name="first"/> has the lower class: normalisation would move it before the other mark.</summary>
    private static bool Precedes(Rune first, Rune second) => Swaps(second.ToString(), first.ToString());

    private static bool Swaps(string first, string second) => (first + second).Normalize(NormalizationForm.FormD) != first + second;
}
