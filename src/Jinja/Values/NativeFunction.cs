using LocalLlm.Jinja.Runtime;

namespace LocalLlm.Jinja.Values;

/// <summary>A built-in function or a method bound to its value.</summary>
internal sealed class NativeFunction(string name, Func<RenderContext, Arguments, object?> body, string typeName = "builtin_function_or_method")
    : ICallable
{
    public string Name { get; } = name;

    public string TypeName { get; } = typeName;

    public object? Call(RenderContext c, Arguments args) => body(c, args);
}
