namespace LocalLlm.Jinja;

/// <summary>The template cannot be parsed or rendered, or JSON cannot be a template value.</summary>
public sealed class TemplateException : Exception
{
    /// <summary>Creates an exception of one <paramref name="kind"/>.</summary>
    /// <param name="kind">The cause.</param>
    /// <param name="message">What was found.</param>
    /// <param name="line">The line in the template, from 1; 0 if not known yet.</param>
    public TemplateException(TemplateErrorKind kind, string message, int line = 0)
        : base(message)
    {
        Kind = kind;
        Line = line;
    }

    /// <summary>The cause.</summary>
    public TemplateErrorKind Kind { get; }

    /// <summary>The line in the template, from 1; 0 if not known.</summary>
    public int Line { get; internal set; }

    /// <summary>The message, with the line if it is known.</summary>
    public string Describe() => Line > 0 ? $"line {Line}: {Message}" : Message;

    internal static TemplateException Syntax(string message, int line) => new(TemplateErrorKind.Syntax, message, line);

    internal static TemplateException Type(string message) => new(TemplateErrorKind.Type, message);

    internal static TemplateException Value(string message) => new(TemplateErrorKind.Value, message);

    internal static TemplateException Lookup(string message) => new(TemplateErrorKind.Lookup, message);

    internal static TemplateException Arithmetic(string message) => new(TemplateErrorKind.Arithmetic, message);

    internal static TemplateException Runtime(string message) => new(TemplateErrorKind.Runtime, message);

    internal static TemplateException Limit(string message) => new(TemplateErrorKind.Limit, message);
}
