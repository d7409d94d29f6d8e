using System.Text;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>Gathers headings and paragraphs, in the order of a document, into sections.</summary>
internal sealed class SectionBuilder
{
    private readonly List<DocumentSection> _sections = [];
    private readonly List<Title> _headings = [];
    private readonly List<PageStart> _pages = [];
    private readonly StringBuilder _text = new();

    /// <summary>Begins a section. Level 1 is the outermost; a heading ends those of its level and below.</summary>
    public void AddHeading(int level, string title, int? page = null)
    {
        EndSection();
        EndHeadings(level);
        if (!string.IsNullOrWhiteSpace(title))
            _headings.Add(new(level, title.Trim(), page));
    }

    /// <param name="text">The paragraph.</param>
    /// <param name="pages">Where pages begin in it; the first at 0.</param>
    public void AddParagraph(string text, params IReadOnlyList<PageStart> pages)
    {
        if (string.IsNullOrWhiteSpace(text))
            return;
        if (_text.Length > 0)
            _text.Append("\n\n");
        foreach (var start in pages.Where(start => _pages.Count == 0 || start.Page != _pages[^1].Page))
            _pages.Add(start with { Offset = start.Offset + _text.Length });
        _text.Append(text.Trim());
    }

    /// <summary>All sections; none is blank.</summary>
    public IReadOnlyList<DocumentSection> Build()
    {
        EndSection();
        EndHeadings(0);
        return _sections;
    }

    private void EndSection()
    {
        if (_text.Length > 0)
        {
            Add(_headings, _pages.Count > 0 ? _pages[0].Page : null, _text.ToString());
            _sections[^1] = _sections[^1] with { PageStarts = [.. _pages] };
        }

        _text.Clear();
        _pages.Clear();
    }

    private void EndHeadings(int level)
    {
        // A heading above nothing would be lost with all that it says: it becomes text below its own headings.
        if (_headings.Count > 0 && _headings[^1].Level >= level && !_headings[^1].IsShown)
            Add(_headings.SkipLast(1), _headings[^1].Page, _headings[^1].Text);
        _headings.RemoveAll(heading => heading.Level >= level);
    }

    private void Add(IEnumerable<Title> above, int? page, string text)
    {
        _sections.Add(new(string.Join(DocumentSection.HeadingSeparator, above.Select(heading => heading.Text)), page, text));
        _headings.ForEach(heading => heading.IsShown = true);
    }

    private sealed class Title(int level, string text, int? page)
    {
        public int Level => level;

        public string Text => text;

        public int? Page => page;

        public bool IsShown { get; set; }
    }
}
