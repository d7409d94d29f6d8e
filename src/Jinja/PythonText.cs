using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja;

/// <summary>Strips white space as Python's <c>str</c> does; .NET defines white space differently.</summary>
public static class PythonText
{
    /// <summary>Python's <c>str.strip()</c>.</summary>
    /// <param name="text">The text.</param>
    public static string Strip(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return PyText.Trim(text);
    }

    /// <summary>Python's <c>str.rstrip()</c>.</summary>
    /// <param name="text">The text.</param>
    public static string RStrip(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return PyText.TrimEnd(text);
    }
}
