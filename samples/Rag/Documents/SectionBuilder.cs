using System.Text;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>Collects headings and paragraphs, in the order of a document, into sections.</summary>
/// <param name="unit">The unit of the document's places: pages or lines.</param>
internal sealed class SectionBuilder(PlaceUnit unit)
{
    private readonly List<DocumentSection> _sections = [];
    private readonly List<Title> _headings = [];
    private readonly List<PlaceStart> _places = [];
    private readonly StringBuilder _text = new();

    /// <summary>Begins a section. Level 1 is the outermost; a heading ends the sections of its own and of inner levels.</summary>
    public void AddHeading(int level, string title, int place)
    {
        EndSection();
        EndHeadings(level);
        if (!string.IsNullOrWhiteSpace(title))
            _headings.Add(new(level, title.Trim(), place));
    }

    /// <summary>Ends the section of a heading of this level.</summary>
    public void EndHeading(int level)
    {
        EndSection();
        EndHeadings(level);
    }

    /// <param name="text">The paragraph.</param>
    /// <param name="places">Where pages or lines begin in the paragraph; the first offset is 0.</param>
    public void AddParagraph(string text, params IReadOnlyList<PlaceStart> places)
    {
        if (string.IsNullOrWhiteSpace(text))
            return;
        if (_text.Length > 0)
            _text.Append("\n\n");
        var blank = text.Length - text.TrimStart().Length;
        foreach (var start in places)
        {
            var moved = start with { Offset = _text.Length + Math.Max(0, start.Offset - blank) };
            // Of several places that begin in the white space before the text, only the last has text.
            if (_places.Count > 0 && _places[^1].Offset == moved.Offset)
                _places.RemoveAt(_places.Count - 1);
            if (_places.Count == 0 || _places[^1].Number != moved.Number)
                _places.Add(moved);
        }

        _text.Append(text.Trim());
    }

    /// <summary>All sections; none of them is blank.</summary>
    public IReadOnlyList<DocumentSection> Build()
    {
        EndSection();
        EndHeadings(0);
        return _sections;
    }

    private void EndSection()
    {
        if (_text.Length > 0)
            Add(_headings, PlaceMap.Of(unit, _places), _text.ToString());
        _text.Clear();
        _places.Clear();
    }

    private void EndHeadings(int level)
    {
        // A heading without text below it would be lost: it becomes text under the headings above it.
        if (_headings.Count > 0 && _headings[^1].Level >= level && !_headings[^1].IsShown)
            Add(_headings.SkipLast(1), PlaceMap.Of(unit, [new(0, _headings[^1].Place)]), _headings[^1].Text);
        _headings.RemoveAll(heading => heading.Level >= level);
    }

    private void Add(IEnumerable<Title> above, PlaceMap? places, string text)
    {
        _sections.Add(new(string.Join(DocumentSection.HeadingSeparator, above.Select(heading => heading.Text)), places, text));
        _headings.ForEach(heading => heading.IsShown = true);
    }

    private sealed class Title(int level, string text, int place)
    {
        public int Level => level;

        public string Text => text;

        public int Place => place;

        public bool IsShown { get; set; }
    }
}
