namespace LocalLlm.Jinja;

/// <summary>
/// What one template may cost. Budgets for rendering grow with the input: a long chat renders, and a small one cannot be blown
/// up. Nothing depends on the clock, so a render that succeeds once always succeeds.
/// </summary>
public sealed record TemplateLimits
{
    /// <summary>The default limits.</summary>
    public static TemplateLimits Default { get; } = new();

    /// <summary>Max length of a template, in UTF-16 units.</summary>
    public int MaxSourceLength { get; init; } = 1 << 20;

    /// <summary>Max nesting of statements and expressions in the template.</summary>
    public int MaxNesting { get; init; } = 100;

    /// <summary>Max depth of macro calls and recursive loops.</summary>
    public int MaxCallDepth { get; init; } = 150;

    /// <summary>Evaluation steps granted to every render.</summary>
    public long BaseSteps { get; init; } = 100_000;

    /// <summary>Additional steps granted for each JSON value in the variables.</summary>
    public long StepsPerInputValue { get; init; } = 4_000;

    /// <summary>Max steps of a render, however large its input.</summary>
    public long MaxSteps { get; init; } = 10_000_000;

    /// <summary>UTF-16 units of output, and of each intermediate string, granted to every render.</summary>
    public long BaseOutputLength { get; init; } = 1 << 20;

    /// <summary>Additional output units granted for each UTF-16 unit of text in the variables.</summary>
    public long OutputPerInputLength { get; init; } = 4;

    /// <summary>UTF-16 units of intermediate text granted to every render; a list element counts as eight.</summary>
    public long BaseAllocation { get; init; } = 16L << 20;

    /// <summary>Additional units of intermediate text for each UTF-16 unit of text in the variables.</summary>
    public long AllocationPerInputLength { get; init; } = 256;

    /// <summary>Max units of intermediate text of a render, however large its input.</summary>
    public long MaxAllocation { get; init; } = 256L << 20;
}
