using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Nodes;

internal sealed class TupleExpr(Expr[] items) : Expr
{
    public Expr[] Items { get; } = items;

    public override IEnumerable<Node> Children => Items;

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        return new PyTuple(Array.ConvertAll(Items, item => item.Evaluate(c)));
    }
}

internal sealed class ListExpr(Expr[] items) : Expr
{
    public override IEnumerable<Node> Children => items;

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        c.AllocateItems(items.Length);
        var list = new List<object?>(items.Length);
        foreach (var item in items)
            list.Add(item.Evaluate(c));
        return list;
    }
}

internal sealed class DictExpr((Expr Key, Expr Value)[] items) : Expr
{
    public override IEnumerable<Node> Children => items.SelectMany(item => new Node[] { item.Key, item.Value });

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        c.AllocateItems(2 * items.Length);
        var dict = new PyDict();
        foreach (var (key, value) in items)
        {
            var k = key.Evaluate(c);
            c.Hash(k);
            dict[k] = value.Evaluate(c);
        }

        return dict;
    }
}

/// <summary>Parts joined by <c>~</c>.</summary>
internal sealed class ConcatExpr(Expr[] parts) : Expr
{
    public override IEnumerable<Node> Children => parts;

    public override object? Evaluate(RenderContext c)
    {
        c.Step();
        var texts = Array.ConvertAll(parts, part => part.Evaluate(c));
        return c.Text(string.Concat(Array.ConvertAll(texts, text => Py.Str(c, text))));
    }
}
