namespace LocalLlm.Weights;

/// <summary>
/// The values that the pickle of a state dict can hold: plain data of these classes only. None compares, prints or walks its children, so
/// no nesting can exhaust the stack.
/// </summary>
internal abstract class PickleValue
{
    /// <summary>The depth of nested tuples and dictionaries in it when it was created.</summary>
    public virtual int Depth => 0;

    /// <summary>What it is, for messages.</summary>
    public abstract string Kind { get; }
}

/// <summary>None.</summary>
internal sealed class PickleNone : PickleValue
{
    public static readonly PickleNone Value = new();

    public override string Kind => "None";
}

/// <summary>True or False.</summary>
internal sealed class PickleBool : PickleValue
{
    public static readonly PickleBool True = new();
    public static readonly PickleBool False = new();

    public override string Kind => "a truth value";
}

/// <summary>An integer; the only check is that it has 64 bits.</summary>
internal sealed class PickleInt(long value) : PickleValue
{
    public long Value => value;

    public override string Kind => "a number";
}

/// <summary>Text of bounded length.</summary>
internal sealed class PickleText(string value) : PickleValue
{
    public string Value => value;

    public override string Kind => "text";
}

/// <summary>A tuple.</summary>
internal sealed class PickleTuple(PickleValue[] items) : PickleValue
{
    public static readonly PickleTuple Empty = new([]);

    public PickleValue[] Items => items;

    public override int Depth { get; } = items.Length == 0 ? 0 : 1 + items.Max(item => item.Depth);

    public override string Kind => "a tuple";
}

/// <summary>A dictionary with string keys, unordered.</summary>
internal sealed class PickleDict(bool isOrdered) : PickleValue
{
    private static readonly Dictionary<string, PickleValue> s_empty = [];
    private Dictionary<string, PickleValue>? _items; // most are empty
    private int _depth;

    /// <summary>Whether it is a collections.OrderedDict.</summary>
    public bool IsOrdered => isOrdered;

    public IReadOnlyDictionary<string, PickleValue> Items => _items ?? s_empty;

    public override int Depth => _depth;

    public override string Kind => "a dictionary";

    public bool TryAdd(string key, PickleValue value)
    {
        _depth = Math.Max(_depth, 1 + value.Depth);
        return (_items ??= new(StringComparer.Ordinal)).TryAdd(key, value);
    }
}

/// <summary>A storage that the pickle refers to: the bytes of one entry of the archive.</summary>
/// <param name="dtype">Its element type; null: untyped bytes.</param>
/// <param name="key">The entry's name under <c>data/</c>: digits.</param>
/// <param name="count">Number of its elements according to the pickle; not checked yet.</param>
internal sealed class PickleStorage(SafetensorsDtype? dtype, string key, long count) : PickleValue
{
    public SafetensorsDtype? Dtype => dtype;

    public string Key => key;

    public long Count => count;

    public override string Kind => "a storage";
}

/// <summary>A view of a storage; its numbers are not checked yet.</summary>
/// <param name="storage">The storage.</param>
/// <param name="dtype">The element type.</param>
/// <param name="offset">Its first element in the storage.</param>
/// <param name="shape">The dimensions.</param>
/// <param name="strides">The steps, in elements.</param>
internal sealed class PickleTensor(PickleStorage storage, SafetensorsDtype dtype, long offset, long[] shape, long[] strides) : PickleValue
{
    public PickleStorage Storage => storage;

    public SafetensorsDtype Dtype => dtype;

    public long Offset => offset;

    public long[] Shape => shape;

    public long[] Strides => strides;

    public override string Kind => "a tensor";
}
