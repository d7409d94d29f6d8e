using LocalLlm.Jinja.Runtime;

namespace LocalLlm.Jinja.Nodes;

internal abstract class Stmt : Node
{
    public abstract Flow Execute(RenderContext c);

    public static Flow Run(RenderContext c, Stmt[] body)
    {
        foreach (var statement in body)
        {
            c.Line = statement.Line;
            var flow = statement.Execute(c);
            if (flow != Flow.Next)
                return flow;
        }

        return Flow.Next;
    }
}
