namespace LocalLlm.Jinja.Values;

/// <summary>A sequence that can be walked once: a generator, or the iterator of a collection.</summary>
internal sealed class PyIterator(string typeName, IEnumerable<object?> source)
{
    private readonly IEnumerator<object?> _source = source.GetEnumerator();

    public string TypeName { get; } = typeName;

    public static PyIterator Generator(IEnumerable<object?> source) => new("generator", source);

    public bool Next(out object? value)
    {
        var more = _source.MoveNext();
        value = more ? _source.Current : null;
        return more;
    }
}
