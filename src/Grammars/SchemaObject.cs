namespace LocalLlm.Grammars;

/// <summary>One thing that the value of a property, or of all others of a kind, may be.</summary>
/// <param name="Value">Makes it.</param>
/// <param name="Key">Equal for values that are equal; null: not known.</param>
/// <param name="Met">Bit i: the i-th demand is met by it.</param>
internal sealed record SchemaMember(Func<Fragment> Value, string? Key, int Met = 0);

/// <summary>A property that a schema names.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Options">What its value may be; none: it must be absent.</param>
internal sealed record SchemaProperty(string Name, IReadOnlyList<SchemaMember> Options)
{
    /// <summary>Whether it must be there.</summary>
    public bool IsRequired { get; init; }

    /// <summary>Names of properties that must be there beside it.</summary>
    public IReadOnlyList<string> Needs { get; init; } = [];
}

/// <summary>What an object must be.</summary>
internal sealed record SchemaObject
{
    /// <summary>The properties that are named.</summary>
    public required IReadOnlyList<SchemaProperty> Properties { get; init; }

    /// <summary>What tells other names apart.</summary>
    public IReadOnlyList<StringLanguages.Language> Patterns { get; init; } = [];

    /// <summary>From the languages that another name is in (bit i: the i-th) to what its value may be; none: there are no such
    /// properties.</summary>
    public required Func<ulong, IReadOnlyList<SchemaMember>> Others { get; init; }

    /// <summary>Equal for equal <see cref="Others"/>; null: not known.</summary>
    public string? OthersKey { get; init; }

    /// <summary>How many demands there are for some property that is of a kind.</summary>
    public int DemandCount { get; init; }

    /// <summary>Fewest properties.</summary>
    public int Least { get; init; }

    /// <summary>Most properties; null: any number.</summary>
    public int? Most { get; init; }
}
