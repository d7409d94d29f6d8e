namespace LocalLlm.Jinja.Values;

internal enum DictViewKind
{
    Keys,
    Values,
    Items,
}

/// <summary>What <c>keys()</c>, <c>values()</c> and <c>items()</c> of a dictionary return.</summary>
internal sealed class DictView(PyDict dict, DictViewKind kind)
{
    public DictViewKind Kind { get; } = kind;

    public int Count => dict.Count;

    public string TypeName => "dict_" + Kind.ToString().ToLowerInvariant();

    public IEnumerable<object?> Enumerate()
    {
        foreach (var (key, value) in dict.Items)
            yield return Kind switch { DictViewKind.Keys => key, DictViewKind.Values => value, _ => new PyTuple(key, value) };
    }
}
