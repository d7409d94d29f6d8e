namespace LocalLlm.Jinja.Values;

/// <summary>
/// Jinja2's lenient undefined value. It prints as nothing, is false and empty, and fails in any other operation with a message
/// that says where it came from.
/// </summary>
internal sealed class Undefined
{
    private readonly string _message;
    private readonly TemplateErrorKind _kind;

    private Undefined(string message, TemplateErrorKind kind)
    {
        _message = message;
        _kind = kind;
    }

    public static Undefined Hint(string message) => new(message, TemplateErrorKind.Undefined);

    public static Undefined Variable(string name) => Hint($"'{name}' is undefined");

    public static Undefined Attribute(object? owner, object? name)
    {
        var type = owner is null ? "None" : Py.TypeName(owner) + " object";
        return PyText.TryGet(name, out var text)
            ? Hint($"'{type}' has no attribute '{text}'")
            : Hint($"{type} has no element {(name is long or bool or double or null ? Py.ShortRepr(name) : Py.TypeName(name))}");
    }

    public static Undefined Unsafe(object? owner, string name) =>
        new($"access to attribute '{name}' of '{Py.TypeName(owner)}' object is unsafe.", TemplateErrorKind.Security);

    public TemplateException Fail() => new(_kind, _message);
}
