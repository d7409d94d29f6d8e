using LocalLlm.Jinja.Runtime;

namespace LocalLlm.Jinja.Values;

/// <summary>A class that a template can instantiate, such as <c>namespace</c>.</summary>
internal sealed class PyType(string fullName, Func<RenderContext, Arguments, object?> create) : ICallable
{
    public string TypeName => "type";

    public string FullName { get; } = fullName;

    public object? Call(RenderContext c, Arguments args) => create(c, args);
}
