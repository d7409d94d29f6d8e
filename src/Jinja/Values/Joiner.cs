using LocalLlm.Jinja.Runtime;

namespace LocalLlm.Jinja.Values;

/// <summary>Empty at its first call, the separator after that.</summary>
internal sealed class Joiner(object? separator) : ICallable
{
    private static readonly Signature CallSignature = new("joiner");

    public string TypeName => "Joiner";

    public object? Separator { get; } = separator;

    public bool Used { get; private set; }

    public object? Call(RenderContext c, Arguments args)
    {
        CallSignature.Bind(args);
        if (Used)
            return Separator;
        Used = true;
        return "";
    }
}
