using System.Collections.Frozen;
using LocalLlm.Jinja.Builtins;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Runtime;

/// <summary>Attributes, items and calls under the rules of Jinja2's immutable sandbox.</summary>
internal static class Access
{
    // Attributes that every Python object has; the sandbox forbids them all.
    private static readonly FrozenSet<string> Internal = FrozenSet.ToFrozenSet(
    [
        "__class__", "__delattr__", "__dir__", "__doc__", "__eq__", "__format__", "__ge__", "__getattribute__", "__getstate__",
        "__gt__", "__hash__", "__init__", "__init_subclass__", "__le__", "__lt__", "__ne__", "__new__", "__reduce__",
        "__reduce_ex__", "__repr__", "__setattr__", "__sizeof__", "__str__", "__subclasshook__",
    ]);

    // Operators that an undefined value has only to refuse them.
    private static readonly FrozenSet<string> Refusing = FrozenSet.ToFrozenSet(
    [
        "__add__", "__bool__", "__call__", "__div__", "__float__", "__floordiv__", "__getattr__", "__getitem__", "__int__", "__iter__",
        "__len__", "__mod__", "__mul__", "__neg__", "__pos__", "__pow__", "__radd__", "__rmul__", "__rsub__", "__sub__", "__truediv__",
    ]);

    private static readonly FrozenSet<string> ListMutators =
        FrozenSet.ToFrozenSet(["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"]);

    private static readonly FrozenSet<string> DictMutators = FrozenSet.ToFrozenSet(["clear", "pop", "popitem", "setdefault", "update"]);

    /// <summary><c>value.name</c></summary>
    public static object? Attribute(RenderContext c, object? value, string name) =>
        TryAttribute(c, value, name, out var result) || TryItem(c, value, name, out result)
            ? result
            : Undefined.Attribute(value, name);

    /// <summary><c>value[key]</c></summary>
    public static object? Item(RenderContext c, object? value, object? key)
    {
        if (TryItem(c, value, key, out var result))
            return result;
        return PyText.TryGet(key, out var name) && TryAttribute(c, value, name, out result)
            ? result
            : Undefined.Attribute(value, key);
    }

    public static object? Call(RenderContext c, object? function, Arguments args) => function switch
    {
        ICallable callable => callable.Call(c, args),
        Undefined undefined => throw undefined.Fail(),
        _ => throw TemplateException.Type($"'{Py.TypeName(function)}' object is not callable"),
    };

    /// <summary>An attribute of the Python object that <paramref name="value"/> stands for; undefined if it is unsafe.</summary>
    public static bool TryAttribute(RenderContext c, object? value, string name, out object? result)
    {
        if (value is Namespace space && space.Attributes.TryGet(name, out result))
        {
            if (name.StartsWith('_'))
                result = Undefined.Unsafe(value, name);
            return true;
        }

        if (Internal.Contains(name) || IsMutator(value, name) || (value is Undefined && Refusing.Contains(name)))
        {
            result = Undefined.Unsafe(value, name);
            return true;
        }

        result = null;
        if (value is Undefined undefined && !(name.StartsWith("__", StringComparison.Ordinal) && name.EndsWith("__", StringComparison.Ordinal)))
            throw undefined.Fail();
        if (name.StartsWith('_') || value is Namespace)
            return false;
        if (PyText.TryGet(value, out var text))
            return StringMethods.TryBind(text, value is Markup, name, out result);
        result = ObjectAttributes.Find(c, value, name);
        return result != Missing.Value;
    }

    private static bool IsMutator(object? value, string name) =>
        (value is List<object?> && ListMutators.Contains(name)) || (value is PyDict && DictMutators.Contains(name));

    private static bool TryItem(RenderContext c, object? value, object? key, out object? result)
    {
        result = null;
        switch (value)
        {
            case Undefined undefined:
                throw undefined.Fail();
            case PyDict dict:
                c.Hash(key);
                return TryKey(dict, key, out result);
            case List<object?> list:
                return TryIndex(key, list.Count, out var index) && Found(list[index], out result);
            case PyTuple tuple:
                return TryIndex(key, tuple.Items.Length, out index) && Found(tuple.Items[index], out result);
            case PyRange range:
                return TryIndex(key, range.Count, out index) && Found(range[index], out result);
        }

        if (!PyText.TryGet(value, out var text) || !PyNumber.IsInteger(key))
            return false;
        c.Scan(text);
        if (!TryIndex(key, PyText.Length(text), out var position))
            return false;
        var character = PyText.At(text, PyText.Offset(text, position));
        return Found(value is Markup ? new Markup(character) : character, out result);
    }

    private static bool TryKey(PyDict dict, object? key, out object? result)
    {
        result = null;
        try
        {
            return dict.TryGet(key, out result);
        }
        catch (TemplateException e) when (e.Kind == TemplateErrorKind.Type)
        {
            // An unhashable key: not found, as in any subscript.
            return false;
        }
    }

    private static bool Found(object? value, out object? result)
    {
        result = value;
        return true;
    }

    private static bool TryIndex(object? key, int length, out int index)
    {
        index = 0;
        if (!PyNumber.TryIndex(key, out var position))
            return false;
        if (position < 0)
            position += length;
        index = (int)Math.Clamp(position, 0, int.MaxValue);
        return position >= 0 && position < length;
    }
}
