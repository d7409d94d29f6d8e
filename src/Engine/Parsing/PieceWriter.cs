using System.Text;

namespace LocalLlm.Parsing;

/// <summary>Collects characters into pieces; consecutive characters of one kind form one piece.</summary>
internal sealed class PieceWriter
{
    private readonly List<ResponsePart> _pieces = [];
    private readonly StringBuilder _text = new();
    private ResponsePartKind _kind;

    /// <summary>Adds a character.</summary>
    public void Write(ResponsePartKind kind, char character)
    {
        Begin(kind);
        _text.Append(character);
    }

    /// <summary>Adds text.</summary>
    public void Write(ResponsePartKind kind, ReadOnlySpan<char> text)
    {
        Begin(kind);
        _text.Append(text);
    }

    /// <summary>Adds a piece that is never joined with others.</summary>
    public void Add(ResponsePartKind kind, string value)
    {
        End();
        _pieces.Add(new(kind, value));
    }

    /// <summary>Moves all pieces to <paramref name="pieces"/>.</summary>
    public void MoveTo(List<ResponsePart> pieces)
    {
        End();
        pieces.AddRange(_pieces);
        _pieces.Clear();
    }

    /// <summary>Moves all pieces of another writer to this one.</summary>
    public void Take(PieceWriter other)
    {
        End();
        other.MoveTo(_pieces);
    }

    private void Begin(ResponsePartKind kind)
    {
        if (_kind != kind)
            End();
        _kind = kind;
    }

    private void End()
    {
        if (_text.Length == 0)
            return;
        _pieces.Add(new(_kind, _text.ToString()));
        _text.Clear();
    }
}
