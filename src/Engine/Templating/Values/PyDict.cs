namespace LocalLlm.Templating.Values;

/// <summary>A dictionary in insertion order whose keys compare as in Python: <c>1</c>, <c>1.0</c> and <c>True</c> are one key.</summary>
internal sealed class PyDict
{
    // A key of null is boxed as this marker, since the dictionary below takes none.
    private static readonly object NoneKey = new();

    private readonly OrderedDictionary<object, object?> _items = new(KeyComparer.Instance);

    public int Count => _items.Count;

    public IEnumerable<KeyValuePair<object?, object?>> Items
    {
        get
        {
            foreach (var (key, value) in _items)
                yield return new(key == NoneKey ? null : key, value);
        }
    }

    public object? this[object? key]
    {
        set => _items[Key(key)] = value;
    }

    public bool TryGet(object? key, out object? value) => _items.TryGetValue(Key(key), out value);

    public object? Get(string key) => _items.GetValueOrDefault(key);

    public bool Contains(object? key) => _items.ContainsKey(Key(key));

    public bool Remove(string key) => _items.Remove(key);

    public PyDict Copy()
    {
        var copy = new PyDict();
        foreach (var (key, value) in _items)
            copy._items.Add(key, value);
        return copy;
    }

    private static object Key(object? key) => key ?? NoneKey;
}
