using LocalLlm.Jinja.Runtime;

namespace LocalLlm.Jinja.Nodes;

internal abstract class Expr : Node
{
    /// <summary>Levels of expressions below this one; the parser limits them.</summary>
    public int Height { get; set; }

    public abstract object? Evaluate(RenderContext c);
}
