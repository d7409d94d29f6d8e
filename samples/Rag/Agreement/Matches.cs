namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>Finds the words of a question in a text.</summary>
internal sealed class Matches
{
    // Longer than any name with its attribute; dividing takes time that grows with the square of the length.
    private const int LongestDivided = 32;

    // For each found word, or part of a word, the places of its terms.
    private readonly List<IReadOnlyList<Range>> _parts = [];
    private readonly bool[] _matched;

    private Matches(IReadOnlyList<Term> terms)
    {
        Terms = terms;
        _matched = new bool[terms.Count];
    }

    public IReadOnlyList<Term> Terms { get; }

    /// <summary>Words of the question that the text lacks.</summary>
    public List<AskedWord> Missing { get; } = [];

    public bool HasAny => _parts.Count > 0;

    public bool IsMatched(int term) => _matched[term];

    /// <summary>Whether a given word of the question stands at a place.</summary>
    public bool Has(AskedWord word, int at) => word.Forms.Any(form => TermReader.IsWide(form[0]) ? WideAt(form, at).End.Value > 0 : IsAt(form, word.IsName, at));

    /// <summary>Whether a term has substance that is not in the question.</summary>
    public bool IsForeign(int term) => Terms[term].HasSubstance && !_matched[term];

    public static Matches Of(IReadOnlyList<AskedWord> words, IReadOnlyList<Term> terms)
    {
        var matches = new Matches(terms);
        foreach (var word in words)
        {
            if (matches.PartsOf(word) is { } parts)
                matches.Add(parts);
            else
                matches.Missing.Add(word);
        }

        return matches;
    }

    /// <summary>Stretches of the text that begin and end with a match and hold every word found; no stretch holds another.</summary>
    public IEnumerable<Range> Windows()
    {
        for (var first = 0; first < _matched.Length; first++)
        {
            if (!_matched[first])
                continue;
            var ends = _parts.Select(places => places.Where(place => place.Start.Value >= first).Select(place => place.End.Value).DefaultIfEmpty(int.MaxValue).Min()).ToArray();
            if (ends.Max() is var end && end < int.MaxValue && _parts.Any(places => places.Any(place => place.Start.Value == first)))
                yield return first..end;
        }
    }

    private void Add(IReadOnlyList<IReadOnlyList<Range>> parts)
    {
        _parts.AddRange(parts);
        foreach (var place in parts.SelectMany(places => places))
        {
            for (var term = place.Start.Value; term < place.End.Value; term++)
                _matched[term] = true;
        }
    }

    private IReadOnlyList<IReadOnlyList<Range>>? PartsOf(AskedWord word)
    {
        var places = word.Forms.SelectMany((form, index) => PlacesOf(form, word.IsName, isOther: index > 0)).ToArray();
        if (places.Length > 0)
            return [places];
        return word.IsWide ? Divided(word.Forms[0]) : null;
    }

    /// <summary>Divides a run of characters into parts of two or more that the text has, the first ones as long as possible; null:
    /// impossible.</summary>
    private IReadOnlyList<IReadOnlyList<Range>>? Divided(string run)
    {
        if (run.Length > LongestDivided)
            return null;
        // The division of each tail of the run, from the shortest; null where the tail cannot be divided.
        var divided = new IReadOnlyList<IReadOnlyList<Range>>?[run.Length + 1];
        divided[run.Length] = [];
        for (var start = run.Length - 2; start >= 0; start--)
        {
            for (var length = run.Length - start; length >= 2 && divided[start] is null; length--)
            {
                if (divided[start + length] is { } rest && PlacesOf(run.Substring(start, length), isName: false, isOther: false).ToArray() is { Length: > 0 } part)
                    divided[start] = [part, .. rest];
            }
        }

        // Two parts in reverse order are another name: 北京东路 is not 东路北京.
        return divided[0] is { } parts && Enumerable.Range(1, Math.Max(0, parts.Count - 1)).Any(at => IsBefore(parts[at], parts[at - 1]) && !IsBefore(parts[at - 1], parts[at])) ? null : divided[0];

        static bool IsBefore(IReadOnlyList<Range> one, IReadOnlyList<Range> other) => one.Any(place => other.Any(next => next.Start.Value == place.End.Value));
    }

    private IEnumerable<Range> PlacesOf(string form, bool isName, bool isOther)
    {
        if (!TermReader.IsWide(form[0]))
            return Enumerable.Range(0, Terms.Count).Where(at => IsAt(form, isName, at)).Select(at => at..(at + 1));
        return Enumerable.Range(0, Terms.Count).Select(at => WideAt(form, at)).Where(place => place.End.Value > 0 && (!isOther || form.Length > 1 || IsBeforeNumber(place.End.Value)));
    }

    private bool IsAt(string form, bool isName, int at)
    {
        var term = Terms[at];
        if (term.IsWide || term.Kind == TermKind.Break || term.Text == form)
            return term.Text == form;
        // A capital letter makes a word a name, except at the beginning, and names have no other forms.
        var isNamed = isName || (term.IsCapital && at > 0 && Terms[at - 1].Kind != TermKind.Break);
        return term.Kind != TermKind.Number && !isNamed && WordForms.AreSame(term.Text, form);
    }

    // A measure of one character, such as 重, counts as that measure only before its figure.
    private bool IsBeforeNumber(int at) => at < Terms.Count && Terms[at].Kind == TermKind.Number;

    private Range WideAt(string form, int at)
    {
        var (text, end) = ("", at);
        while (end < Terms.Count && Terms[end].IsWide && text.Length < form.Length)
            text += Terms[end++].Text;
        return text == form ? at..end : 0..0;
    }
}
