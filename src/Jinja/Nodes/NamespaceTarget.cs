using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Nodes;

/// <summary><c>ns.attribute</c> on the left side of a <c>set</c>.</summary>
internal sealed class NamespaceTarget(string name, string attribute) : Expr
{
    public string Name { get; } = name;

    public string Attribute { get; } = attribute;

    public Variable Variable { get; set; }

    public override IEnumerable<Node> Children => [];

    public override object? Evaluate(RenderContext c) => Require(c);

    public Namespace Require(RenderContext c) => c.Frame.Get(Variable) as Namespace
        ?? throw TemplateException.Runtime("cannot assign attribute on non-namespace object");
}
