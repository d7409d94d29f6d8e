using LocalLlm.Jinja.Nodes;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Runtime;

/// <summary>The variable <c>loop</c>.</summary>
internal sealed class LoopContext(PyIterator iterator, object? source, (ForStmt Loop, Activation Outer)? recursion, int depth0) : ICallable
{
    private static readonly Signature CallSignature = new("loop", ("iterable", Signature.Required));

    private PyIterator _iterator = iterator;
    private long? _length;
    private object? _after = Missing.Value;
    private object? _before = Missing.Value;
    private object? _current = Missing.Value;
    private PyTuple? _lastChanged;

    public string TypeName => "LoopContext";

    public long Index0 { get; private set; } = -1;

    public long Index => Index0 + 1;

    public long Depth0 => depth0;

    /// <summary>The number of items; a source of unknown length is read to its end to count them.</summary>
    public long Length
    {
        get
        {
            if (_length is { } known)
                return known;
            long? count = source switch
            {
                List<object?> list => list.Count,
                PyTuple tuple => tuple.Items.Length,
                PyDict dict => dict.Count,
                PyRange range => range.Count,
                DictView view => view.Count,
                Undefined => 0,
                LoopContext loop => loop.Length,
                _ => PyText.TryGet(source, out var text) ? PyText.Length(text) : null,
            };
            if (count is null)
            {
                var rest = new List<object?>();
                while (_iterator.Next(out var item))
                    rest.Add(item);
                _iterator = new PyIterator("list_iterator", rest);
                count = rest.Count + Index + (_after != Missing.Value ? 1 : 0);
            }

            _length = count;
            return count.Value;
        }
    }

    public bool IsLast => Peek() == Missing.Value;

    public object? Previous => Index0 == 0 ? Undefined.Hint("there is no previous item") : _before;

    public object? Following => Peek() is var next && next == Missing.Value ? Undefined.Hint("there is no next item") : next;

    public bool Next(out object? item)
    {
        if (_after != Missing.Value)
        {
            item = _after;
            _after = Missing.Value;
        }
        else if (!_iterator.Next(out item))
        {
            return false;
        }

        Index0++;
        _before = _current;
        _current = item;
        return true;
    }

    /// <summary>Iterating over the loop itself advances it and yields each item together with the loop.</summary>
    public IEnumerable<object?> Enumerate(RenderContext c)
    {
        while (Next(out var item))
        {
            c.Step();
            yield return new PyTuple(item, this);
        }
    }

    public object? Cycle(Arguments args) => args.NamedCount > 0 ? throw TemplateException.Type("cycle() takes no keyword arguments")
        : args.Positional.Length == 0 ? throw TemplateException.Type("no items for cycling given")
        : args.Positional[Index0 % args.Positional.Length];

    public object? HasChanged(RenderContext c, Arguments args)
    {
        if (args.NamedCount > 0)
            throw TemplateException.Type("changed() takes no keyword arguments");
        var value = new PyTuple(args.Positional);
        if (_lastChanged is not null && Py.AreEqual(c, _lastChanged, value))
            return false;
        _lastChanged = value;
        return true;
    }

    public object? Call(RenderContext c, Arguments args)
    {
        var items = CallSignature.Bind(args)[0];
        return recursion is var (loop, outer)
            ? loop.Recurse(c, outer, items, depth0 + 1)
            : throw TemplateException.Type("The loop must have the 'recursive' marker to be called recursively.");
    }

    private object? Peek()
    {
        if (_after == Missing.Value && _iterator.Next(out var next))
            _after = next;
        return _after;
    }
}
