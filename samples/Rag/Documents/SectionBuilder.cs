using System.Text;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>Gathers headings and paragraphs, in the order of a document, into sections.</summary>
internal sealed class SectionBuilder
{
    private readonly List<DocumentSection> _sections = [];
    private readonly List<(int Level, string Title)> _headings = [];
    private readonly StringBuilder _text = new();
    private int? _page;

    /// <summary>Begins a section. Level 1 is the outermost; a heading ends those of its level and below.</summary>
    public void AddHeading(int level, string title)
    {
        EndSection();
        _headings.RemoveAll(heading => heading.Level >= level);
        if (!string.IsNullOrWhiteSpace(title))
            _headings.Add((level, title.Trim()));
    }

    public void AddParagraph(string text, int? page = null)
    {
        if (string.IsNullOrWhiteSpace(text))
            return;
        if (_text.Length == 0)
            _page = page;
        else
            _text.Append("\n\n");
        _text.Append(text.Trim());
    }

    /// <summary>All sections that have text.</summary>
    public IReadOnlyList<DocumentSection> Build()
    {
        EndSection();
        return _sections;
    }

    private void EndSection()
    {
        if (_text.Length > 0)
            _sections.Add(new(string.Join(DocumentSection.HeadingSeparator, _headings.Select(heading => heading.Title)), _page, _text.ToString()));
        _text.Clear();
    }
}
