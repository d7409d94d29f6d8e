using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>A preposition that decides the meaning, and the word that it governs: the flight <i>from</i> Madrid is not the flight
/// <i>to</i> Madrid.</summary>
/// <param name="Preposition">The preposition.</param>
/// <param name="Head">The first word of substance after it; one character in Chinese.</param>
internal readonly record struct Relation(string Preposition, string Head)
{
    // "for", "in", "on" and "at" are left out, because they often stand for "of" or for one another: "the price for the permit".
    private static readonly HashSet<string> s_deciding = [.. "from to by about with without through via 从 到".Split(' ')];

    public static IReadOnlyList<Relation> In(IReadOnlyList<Term> terms) => [.. Enumerable.Range(0, terms.Count)
        .Select(at => (Head: at, Preposition: Before(terms, at)))
        .Where(found => found.Preposition is not null)
        .Select(found => new Relation(found.Preposition!, terms[found.Head].Text))];

    /// <summary>Whether the question has the same preposition before a word as the sentence.</summary>
    public static bool IsAsked(AskedQuestion question, string preposition, Term head) => question.Relations.Any(relation => relation.Preposition == preposition && Is(relation.Head, head));

    /// <summary>Whether the question's words stand after the same prepositions in a sentence.</summary>
    /// <param name="question">The question.</param>
    /// <param name="matches">The sentence.</param>
    /// <param name="window">The question's phrase in the sentence.</param>
    public static bool Agree(AskedQuestion question, Matches matches, Range window)
    {
        // "between Linz and Graz" means from one to the other.
        var isBetween = matches.Terms.Any(term => term.Text == "between");
        var before = Math.Max(0, window.Start.Value);
        for (var at = before; at < window.End.Value; at++)
        {
            if (!matches.IsMatched(at) || (matches.Terms[at].IsWide && at > before && matches.IsMatched(at - 1)))
                continue;
            var asked = question.Relations.FirstOrDefault(relation => Is(relation.Head, matches.Terms[at])).Preposition;
            var said = Before(matches.Terms, at);
            // The head of a name is its first word; the words after it have no preposition of their own.
            if (asked == said || (isBetween && asked is "from" or "to"))
                continue;
            if ((asked is not null && s_deciding.Contains(asked)) || (said is not null && s_deciding.Contains(said)))
                return false;
        }

        return true;
    }

    /// <summary>The preposition before a term, with only articles between; null: none.</summary>
    private static string? Before(IReadOnlyList<Term> terms, int at)
    {
        if (!terms[at].HasSubstance)
            return null;
        var before = at - 1;
        while (before >= 0 && terms[before].Kind is Function or Pronoun)
            before--;
        return before >= 0 && terms[before].Kind == TermKind.Preposition ? terms[before].Text : null;
    }

    private static bool Is(string head, Term term) => term.Text == head || (!term.IsWide && term.Kind == Content && WordForms.AreSame(term.Text, head));
}

/// <summary>What belongs to what: "Y of X", "X's Y", X的Y. The daughter's teacher is not the teacher's daughter.</summary>
internal static class Ownership
{
    public static IReadOnlyList<(string Owner, string Owned)> In(IReadOnlyList<Term> terms)
    {
        var pairs = new List<(string, string)>();
        for (var at = 1; at < terms.Count; at++)
        {
            if (terms[at].Kind != Possessive)
                continue;
            var left = Name(terms, at - 1, -1);
            var right = Name(terms, at + 1, 1);
            // "the daughter of Nora's teacher" is the daughter of the teacher, not of Nora.
            for (var next = at + 1; terms[at].Text == "of" && next < terms.Count && (terms[next].HasSubstance || terms[next].Kind == Function || terms[next].Text == "'s"); next++)
            {
                if (terms[next].Text == "'s")
                    right = Name(terms, next + 1, 1);
            }

            var (owners, owned) = terms[at].Text == "of" ? (right, left) : (left, right);
            pairs.AddRange(owners.SelectMany(owner => owned, (owner, thing) => (owner, thing)));
        }

        return pairs;
    }

    /// <summary>Whether a sentence keeps the possession that the question names. It must not reverse it, nor only put the words together:
    /// "Sofia is on a boat" does not speak of Sofia's boat.</summary>
    public static bool Agrees(AskedQuestion question, Matches matches, Range window)
    {
        if (question.Owned.Count == 0)
            return true;
        var terms = matches.Terms;
        var said = In(terms).ToHashSet();
        if (question.Owned.Any(pair => said.Contains((pair.Owned, pair.Owner)) && !question.Owned.Contains((pair.Owned, pair.Owner))))
            return false;
        foreach (var (owner, owned) in question.Owned)
        {
            var (first, second) = (IndexOf(terms, owner, window), IndexOf(terms, owned, window));
            if (first < 0 || second <= first)
                continue;
            var between = terms.Skip(first + 1).Take(second - first - 1).ToArray();
            if (between.Any(term => term.Kind == Be) && between.Any(term => term.Kind == Preposition))
                return false;
        }

        return true;
    }

    private static int IndexOf(IReadOnlyList<Term> terms, string word, Range window)
    {
        for (var at = window.Start.Value; at < window.End.Value; at++)
        {
            if (terms[at].IsWide ? word[0] == terms[at].Text[0] : terms[at].Text == word)
                return at;
        }

        return -1;
    }

    /// <summary>The words in a row on one side; Chinese characters are joined into one word.</summary>
    private static IReadOnlyList<string> Name(IReadOnlyList<Term> terms, int from, int step)
    {
        var words = new List<Term>();
        for (var at = from; at >= 0 && at < terms.Count && (terms[at].HasSubstance || terms[at].Kind == Function); at += step)
        {
            if (terms[at].HasSubstance)
                words.Add(terms[at]);
        }

        if (step < 0)
            words.Reverse();
        return words.Count > 0 && words.All(term => term.IsWide) ? [string.Concat(words.Select(term => term.Text))] : [.. words.Select(term => term.Text)];
    }
}
