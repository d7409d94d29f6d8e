namespace LocalLlm.Grammars;

/// <summary>One possible value of a property, or of all other properties of a kind.</summary>
/// <param name="Value">Creates the value.</param>
/// <param name="Key">Equal for equal values; null: not known.</param>
/// <param name="Met">Bit i: the value meets the i-th demand.</param>
internal sealed record SchemaMember(Func<Fragment> Value, string? Key, int Met = 0);

/// <summary>A property that a schema names.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Options">Its possible values; empty: it must be absent.</param>
internal sealed record SchemaProperty(string Name, IReadOnlyList<SchemaMember> Options)
{
    /// <summary>Whether the property is required.</summary>
    public bool IsRequired { get; init; }

    /// <summary>Names of properties that must be present with it.</summary>
    public IReadOnlyList<string> Needs { get; init; } = [];
}

/// <summary>One shape of an object.</summary>
internal sealed record SchemaObject
{
    /// <summary>The named properties.</summary>
    public required IReadOnlyList<SchemaProperty> Properties { get; init; }

    /// <summary>The languages that distinguish other names.</summary>
    public IReadOnlyList<StringLanguages.Language> Patterns { get; init; } = [];

    /// <summary>
    /// Maps the languages that contain another name (bit i: the i-th) to the possible values of such a property; empty: there are
    /// no such properties.
    /// </summary>
    public required Func<ulong, IReadOnlyList<SchemaMember>> Others { get; init; }

    /// <summary>Equal for equal <see cref="Others"/>; null: not known.</summary>
    public string? OthersKey { get; init; }

    /// <summary>Number of demands for some property of a kind.</summary>
    public int DemandCount { get; init; }

    /// <summary>Minimum number of properties.</summary>
    public int Least { get; init; }

    /// <summary>Maximum number of properties; null: any number.</summary>
    public int? Most { get; init; }
}
