namespace LocalLlm.Jinja.Values;

/// <summary>A variable without a value, as opposed to one that holds <c>None</c>.</summary>
internal sealed class Missing
{
    public static readonly Missing Value = new();

    private Missing()
    {
    }
}
