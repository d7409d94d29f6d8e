namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>A row of a table in the form that the readers write: "Device: Falcon scanner; Price: 415 dollars". Its key cell names a thing,
/// and each other cell says something of that thing.</summary>
internal sealed class TableRow
{
    private static readonly HashSet<string> s_counters = [.. "no nr id # number № 序号 编号".Split(' '), ""];
    private static readonly HashSet<string> s_values = [.. "value values detail details data description information specification entry answer content 值 数值 内容 说明 数据 参数 详情".Split(' ')];
    private readonly IReadOnlyList<(IReadOnlyList<Term> Name, IReadOnlyList<Term> Value)> _cells;

    private TableRow(IReadOnlyList<(IReadOnlyList<Term> Name, IReadOnlyList<Term> Value)> cells) => _cells = cells;

    /// <summary>The row; null: the text is not a row.</summary>
    public static TableRow? Read(string text)
    {
        var parts = text.Trim().Split("; ");
        var cells = parts.Select(part => part.Split(": ", 2)).ToArray();
        // The first column may have no name.
        if (parts.Length < 2 || !cells.Skip(1).All(cell => cell.Length == 2))
            return null;
        return new([.. cells.Select(cell => cell.Length == 2 ? (TermReader.Read(WithoutUnit(cell[0])), TermReader.Read(cell[1])) : ([], TermReader.Read(cell[0])))]);
    }

    /// <summary>Whether the row is about what the question names, and the name of a cell is what the question asks for; headings may name
    /// either. Other cells name other things: the phone in a row is not that of the row's manager.</summary>
    public bool Says(AskedQuestion question, string heading)
    {
        // A number in front only counts the rows.
        var key = _cells.Count > 2 && s_counters.Contains(NameOf(0)) && _cells[0].Value.All(term => term.Kind != TermKind.Content) ? 1 : 0;
        if (!IsNamed(question, _cells[key].Value, out var named))
            return false;
        // "From: Ulm" is not about Ulm, unless the question has the same preposition.
        if (!AgreesWithName(question, key))
            return false;
        // The name of the key's column is part of the key: "Device: Falcon" is the Falcon device.
        var byKey = named.Concat(FoundIn(question, _cells[key].Name)).ToHashSet();
        for (var other = 0; other < _cells.Count; other++)
        {
            // Other cells that the question names narrow the row: "from Ulm to Jena".
            if (other != key && IsNamed(question, _cells[other].Value, out var more) && IsPrepositional(other) && AgreesWithName(question, other))
                byKey.UnionWith(more);
        }

        for (var cell = 0; cell < _cells.Count; cell++)
        {
            if (cell == key)
                continue;
            var all = byKey.ToHashSet();
            var isAsked = _cells[cell].Name.Count > 0 && IsNamed(question, _cells[cell].Name, out _);
            if (isAsked)
                all.UnionWith(FoundIn(question, _cells[cell].Name));
            var missing = question.Words.Where(word => !all.Contains(word)).ToArray();
            // In a row of two cells the key may be what is asked for ("Property: price; Value: 415") if a heading names the thing;
            // "Feature: weight; Tolerance: 2 grams" states no weight.
            var isValue = _cells.Count == 2 && missing.Length > 0 && (_cells[cell].Name.Count == 0 || s_values.Contains(NameOf(cell)));
            if ((isAsked || isValue) && (missing.Length == 0 || HeadingAgreement.Has(heading, missing, question)) && HasAnswer(question, _cells[cell].Value))
                return true;
        }

        return false;
    }

    private string NameOf(int cell) => string.Concat(_cells[cell].Name.Select(term => term.Text));

    private bool IsPrepositional(int cell) => _cells[cell].Name.Count > 0 && _cells[cell].Name.All(term => term.Kind is TermKind.Preposition);

    private bool AgreesWithName(AskedQuestion question, int cell) =>
        !IsPrepositional(cell) || question.Relations.Any(relation => relation.Preposition == NameOf(cell) && _cells[cell].Value.Any(term => term.Text == relation.Head));

    // "Price (USD)" means the price.
    private static string WithoutUnit(string name) => name.IndexOfAny(['(', '（', '[']) is > 0 and var at ? name[..at] : name;

    /// <summary>Whether the question names all of a cell.</summary>
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
