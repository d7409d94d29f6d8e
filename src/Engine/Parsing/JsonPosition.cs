namespace LocalLlm.Parsing;

/// <summary>Follows JSON text character by character: whether the position is inside a string, and how many brackets are open.</summary>
internal struct JsonPosition
{
    private bool _escaped;

    /// <summary>Whether the next character is part of a string.</summary>
    public bool IsInString { get; private set; }

    /// <summary>Number of open brackets and braces; never below 0.</summary>
    public int Depth { get; private set; }

    /// <summary>Advances over a character.</summary>
    public void Push(char character)
    {
        if (IsInString)
        {
            if (_escaped)
                _escaped = false;
            else if (character == '\\')
                _escaped = true;
            else if (character == '"')
                IsInString = false;
            return;
        }

        switch (character)
        {
            case '"':
                IsInString = true;
                break;
            case '{' or '[':
                Depth++;
                break;
            case '}' or ']':
                Depth = Math.Max(0, Depth - 1);
                break;
        }
    }
}
