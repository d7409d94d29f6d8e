namespace LocalLlm.Jinja.Values;

/// <summary>The only object whose attributes a template may assign.</summary>
internal sealed class Namespace(PyDict attributes)
{
    public PyDict Attributes { get; } = attributes;
}
