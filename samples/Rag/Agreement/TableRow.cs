namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>A row of a table as the readers write it: "Device: Falcon scanner; Price: 415 dollars". It says what each of its cells is for what another of them names.</summary>
internal sealed class TableRow
{
    private readonly IReadOnlyList<(IReadOnlyList<Term> Name, IReadOnlyList<Term> Value)> _cells;

    private TableRow(IReadOnlyList<(IReadOnlyList<Term> Name, IReadOnlyList<Term> Value)> cells) => _cells = cells;

    /// <summary>The row; null: the text is none.</summary>
    public static TableRow? Read(string text)
    {
        var parts = text.Trim().Split("; ");
        var cells = parts.Select(part => part.Split(": ", 2)).ToArray();
        // The first column may be without a name.
        if (parts.Length < 2 || !cells.Skip(1).All(cell => cell.Length == 2))
            return null;
        return new([.. cells.Select(cell => cell.Length == 2 ? (TermReader.Read(WithoutUnit(cell[0])), TermReader.Read(cell[1])) : ([], TermReader.Read(cell[0])))]);
    }

    /// <summary>Whether one cell's value names the thing and another one's name what is asked of it; headings may name either.</summary>
    public bool Says(AskedQuestion question, string heading)
    {
        for (var key = 0; key < _cells.Count; key++)
        {
            if (!IsNamed(question, _cells[key].Value, out var named))
                continue;
            // The name of the key's column belongs to it: "Device: Falcon" is the Falcon device.
            var byKey = named.Concat(FoundIn(question, _cells[key].Name)).ToHashSet();
            for (var cell = 0; cell < _cells.Count; cell++)
            {
                if (cell == key)
                    continue;
                var all = byKey.ToHashSet();
                var isAsked = _cells[cell].Name.Count > 0 && IsNamed(question, _cells[cell].Name, out var asked);
                if (isAsked)
                    all.UnionWith(FoundIn(question, _cells[cell].Name));
                var missing = question.Words.Where(word => !all.Contains(word)).ToArray();
                // A key alone ("Property: price; Value: 415") answers where a heading names the rest.
                if ((isAsked || (missing.Length > 0 && _cells.Count == 2)) && (missing.Length == 0 || HeadingAgreement.Has(heading, missing, question)) && HasAnswer(question, _cells[cell].Value))
                    return true;
            }
        }

        return false;
    }

    // "Price (USD)" is the price.
    private static string WithoutUnit(string name) => name.IndexOfAny(['(', '（', '[']) is > 0 and var at ? name[..at] : name;

    /// <summary>Whether all of a cell is something that the question names.</summary>
    private static bool IsNamed(AskedQuestion question, IReadOnlyList<Term> cell, out IEnumerable<AskedWord> named)
    {
        var matches = Matches.Of(question.Words, cell);
        named = question.Words.Except(matches.Missing);
        return matches.HasAny && !Enumerable.Range(0, cell.Count).Any(matches.IsForeign);
    }

    private static IEnumerable<AskedWord> FoundIn(AskedQuestion question, IReadOnlyList<Term> cell) => question.Words.Except(Matches.Of(question.Words, cell).Missing);

    private static bool HasAnswer(AskedQuestion question, IReadOnlyList<Term> value) =>
        value.Any(term => term.HasSubstance) && (question.Wanted is not (AnswerKind.Time or AnswerKind.Quantity) || value.Any(term => term.Kind == TermKind.Number));
}
