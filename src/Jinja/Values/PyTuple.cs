namespace LocalLlm.Jinja.Values;

internal sealed class PyTuple(params object?[] items)
{
    public static readonly PyTuple Empty = new();

    public object?[] Items { get; } = items;
}
