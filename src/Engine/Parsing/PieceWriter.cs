using System.Text;

namespace LocalLlm.Parsing;

/// <summary>Collects characters of one kind into pieces.</summary>
internal sealed class PieceWriter(OutputPieceKind kind)
{
    private readonly StringBuilder _text = new();

    /// <summary>Adds a character.</summary>
    public void Write(char character) => _text.Append(character);

    /// <summary>Adds text.</summary>
    public void Write(ReadOnlySpan<char> text) => _text.Append(text);

    /// <summary>Makes a piece of what was written since the last call, if anything was.</summary>
    public void Flush(List<OutputPiece> pieces)
    {
        if (_text.Length == 0)
            return;
        pieces.Add(new(kind, _text.ToString()));
        _text.Clear();
    }
}
