namespace LocalLlm.Jinja.Values;

/// <summary>The arguments of one call.</summary>
internal sealed class Arguments(object?[] positional, PyDict? named = null)
{
    public static readonly Arguments None = new([]);

    public object?[] Positional { get; } = positional;

    /// <summary>Keyword arguments in order; null if there are none.</summary>
    public PyDict? Named { get; } = named;

    public int NamedCount => Named?.Count ?? 0;
}
