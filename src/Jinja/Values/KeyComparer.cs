using System.Numerics;

namespace LocalLlm.Jinja.Values;

/// <summary>Equality and hashing of dictionary keys; a list or a dictionary as a key is a type error.</summary>
internal sealed class KeyComparer : IEqualityComparer<object>
{
    // Tuples can contain tuples: deeper keys than this are refused rather than hashed.
    private const int MaxDepth = 50;

    public static readonly KeyComparer Instance = new();

    public new bool Equals(object? x, object? y) => Same(x, y);

    public int GetHashCode(object obj) => Hash(obj, 0);

    private static int Hash(object? value, int depth)
    {
        switch (value)
        {
            case null: return 0;
            case string s: return s.GetHashCode(StringComparison.Ordinal);
            case Markup m: return m.Text.GetHashCode(StringComparison.Ordinal);
            case bool b: return (b ? 1L : 0L).GetHashCode();
            case long or BigInteger: return value.GetHashCode();
            case double d:
                return Math.Floor(d) == d && !double.IsInfinity(d) ? PyNumber.Normalize(new BigInteger(d)).GetHashCode() : d.GetHashCode();
            case Undefined: return 1;
            case PyTuple tuple:
                if (depth > MaxDepth)
                    throw TemplateException.Limit("a dictionary key is too deeply nested");
                var hash = new HashCode();
                foreach (var item in tuple.Items)
                    hash.Add(Hash(item, depth + 1));
                return hash.ToHashCode();
            case List<object?> or PyDict or DictView { Kind: not DictViewKind.Values }:
                throw TemplateException.Type($"unhashable type: '{Py.TypeName(value)}'");
            default: return System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(value);
        }
    }

    private static bool Same(object? x, object? y)
    {
        if (ReferenceEquals(x, y))
            return true;
        if (PyText.TryGet(x, out var left))
            return PyText.TryGet(y, out var right) && left == right;
        if (PyNumber.IsNumber(x))
            return PyNumber.IsNumber(y) && PyNumber.Compare(x!, y!) == 0;
        if (x is Undefined)
            return y is Undefined;
        if (x is not PyTuple first || y is not PyTuple second || first.Items.Length != second.Items.Length)
            return false;
        for (var i = 0; i < first.Items.Length; i++)
        {
            if (!Same(first.Items[i], second.Items[i]))
                return false;
        }

        return true;
    }
}
