using LocalLlm.Jinja.Runtime;

namespace LocalLlm.Jinja.Values;

/// <summary>A value that a template may call.</summary>
internal interface ICallable
{
    string TypeName { get; }

    object? Call(RenderContext c, Arguments args);
}
