using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja;

/// <summary>
/// A dictionary in insertion order whose keys compare as in Python: <c>1</c>, <c>1.0</c> and <c>True</c> are one key. Keys and
/// values are null, <see cref="bool"/>, <see cref="long"/>, <see cref="System.Numerics.BigInteger"/>, <see cref="double"/> or
/// <see cref="string"/>. Values may also be a <see cref="List{T}"/> of such values, or a <see cref="PyDict"/>. A template never
/// changes one, so several renders may share it.
/// </summary>
public sealed class PyDict
{
    // Stands for a null key: the underlying dictionary does not accept null.
    private static readonly object NoneKey = new();

    private readonly OrderedDictionary<object, object?> _items = new(KeyComparer.Instance);

    /// <summary>Number of items.</summary>
    public int Count => _items.Count;

    /// <summary>The items, in the order in which their keys were first added.</summary>
    public IEnumerable<KeyValuePair<object?, object?>> Items
    {
        get
        {
            foreach (var (key, value) in _items)
                yield return new(key == NoneKey ? null : key, value);
        }
    }

    /// <summary>The value of a key; setting an existing key keeps its position.</summary>
    /// <param name="key">The key.</param>
    /// <exception cref="KeyNotFoundException">The key to read does not exist.</exception>
    public object? this[object? key]
    {
        get => _items[Key(key)];
        set => _items[Key(key)] = value;
    }

    /// <summary>Whether a key exists, and its value.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">The value; null if the key does not exist.</param>
    public bool TryGet(object? key, out object? value) => _items.TryGetValue(Key(key), out value);

    /// <summary>The value of a key; null if the key does not exist.</summary>
    /// <param name="key">The key.</param>
    public object? Get(string key) => _items.GetValueOrDefault(key);

    /// <summary>Whether a key exists.</summary>
    /// <param name="key">The key.</param>
    public bool Contains(object? key) => _items.ContainsKey(Key(key));

    /// <summary>Removes a key; false if it does not exist.</summary>
    /// <param name="key">The key.</param>
    public bool Remove(string key) => _items.Remove(key);

    /// <summary>A copy with the same keys and values.</summary>
    public PyDict Copy()
    {
        var copy = new PyDict();
        foreach (var (key, value) in _items)
            copy._items.Add(key, value);
        return copy;
    }

    private static object Key(object? key) => key ?? NoneKey;
}
