using System.Security.Cryptography;
using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>The types of JSON; numbers are divided into whole numbers and fractions.</summary>
[Flags]
internal enum SchemaTypes
{
    /// <summary>No type.</summary>
    None = 0,

    /// <summary>null.</summary>
    Null = 1,

    /// <summary>true and false.</summary>
    Boolean = 2,

    /// <summary>Whole numbers.</summary>
    Integer = 4,

    /// <summary>Numbers that are not whole.</summary>
    Fraction = 8,

    /// <summary>All numbers.</summary>
    Number = Integer | Fraction,

    /// <summary>Strings.</summary>
    String = 16,

    /// <summary>Arrays.</summary>
    Array = 32,

    /// <summary>Objects.</summary>
    Object = 64,

    /// <summary>All types.</summary>
    All = Null | Boolean | Number | String | Array | Object,
}

/// <summary>What a <see cref="SchemaPart"/> says.</summary>
internal enum SchemaPartKind
{
    /// <summary>A schema holds, or does not.</summary>
    Whole,

    /// <summary>Those keywords of a schema hold that need no choice.</summary>
    Plain,

    /// <summary>One keyword of a schema holds, or does not.</summary>
    Word,

    /// <summary>The value has one of some types.</summary>
    Types,

    /// <summary>The value is an object that has a property.</summary>
    Has,

    /// <summary>The value is an object that lacks a property.</summary>
    Lacks,

    /// <summary>The value is an object, and one of its properties, if present, satisfies a schema, or does not.</summary>
    Property,

    /// <summary>The value is an object, and one of its properties breaks a keyword of a schema by its name or its value.</summary>
    Some,
}

/// <summary>One of several conditions on a value.</summary>
/// <param name="Kind">The kind of condition.</param>
/// <param name="Schema">The schema.</param>
/// <param name="At">The schema's JSON pointer: schemas with one pointer are one schema.</param>
internal sealed record SchemaPart(SchemaPartKind Kind, JsonElement Schema, string At)
{
    private const int LongestKey = 200;
    private const int DigestBytes = 16;
    private string? _key;
    private UInt128? _digest;

    // A copy says something else, so it must not inherit the key and the digest.
    private SchemaPart(SchemaPart other)
    {
        (Kind, Schema, At, IsNegated, Name, Types) = (other.Kind, other.Schema, other.At, other.IsNegated, other.Name, other.Types);
    }

    /// <summary>Whether the condition is negated.</summary>
    public bool IsNegated { get; init; }

    /// <summary>The keyword, or the property.</summary>
    public string Name { get; init; } = "";

    /// <summary>The types.</summary>
    public SchemaTypes Types { get; init; }

    /// <summary>Equal for parts that say the same thing.</summary>
    public string Key => _key ??= $"{(char)('a' + (int)Kind)}{(IsNegated ? '!' : ' ')}{(int)Types} {At}\0{Name}";

    /// <summary>Equal for sets of parts that say the same thing.</summary>
    public static string KeyOf(IReadOnlyCollection<SchemaPart> parts)
    {
        if (parts.Count == 1 && parts.First().Key is { Length: <= LongestKey } only)
            return only;

        // Many keys are kept and most are long, so digests of the parts stand for them.
        var digests = new SortedSet<UInt128>();
        foreach (var part in parts)
            digests.Add(part._digest ??= DigestOf(part.Key));
        var all = new UInt128[digests.Count];
        digests.CopyTo(all);
        return Convert.ToHexString(SHA256.HashData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(all.AsSpan())).AsSpan(0, DigestBytes));
    }

    private static UInt128 DigestOf(string key)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(key.AsSpan()), digest);
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt128LittleEndian(digest);
    }

    /// <summary>A schema holds.</summary>
    public static SchemaPart Holds(JsonElement schema, string at) => new(SchemaPartKind.Whole, schema, at);

    /// <summary>A schema does not hold.</summary>
    public static SchemaPart Fails(JsonElement schema, string at) => new(SchemaPartKind.Whole, schema, at) { IsNegated = true };

    /// <summary>The value has one of some types.</summary>
    public static SchemaPart Of(SchemaTypes types) => new(SchemaPartKind.Types, default, "") { Types = types };

    /// <summary>The value is an object that has a property.</summary>
    public static SchemaPart Has(string name) => new(SchemaPartKind.Has, default, "") { Name = name };

    /// <summary>The value is an object that lacks a property.</summary>
    public static SchemaPart Lacks(string name) => new(SchemaPartKind.Lacks, default, "") { Name = name };

    /// <summary>The value is an object, and one of its properties, if present, does not satisfy a schema.</summary>
    public static SchemaPart Spoils(string name, JsonElement schema, string at) => new(SchemaPartKind.Property, schema, at) { Name = name, IsNegated = true };

    /// <summary>The value is an object, and some property of it breaks a keyword of a schema.</summary>
    /// <param name="schema">The schema.</param>
    /// <param name="at">Its JSON pointer.</param>
    /// <param name="word"><c>additionalProperties</c>, <c>propertyNames</c>, or <c>patternProperties/</c> and a pattern.</param>
    public static SchemaPart Breaks(JsonElement schema, string at, string word) => new(SchemaPartKind.Some, schema, at) { Name = word };

    /// <summary>A keyword of a schema holds, which involves a choice.</summary>
    public static SchemaPart Choice(JsonElement schema, string at, string word) => new(SchemaPartKind.Word, schema, at) { Name = word };

    /// <summary>A keyword of a schema does not hold.</summary>
    public static SchemaPart Not(JsonElement schema, string at, string word) => new(SchemaPartKind.Word, schema, at) { Name = word, IsNegated = true };

    /// <summary>The plain keywords of a schema hold.</summary>
    public static SchemaPart Plain(JsonElement schema, string at) => new(SchemaPartKind.Plain, schema, at);
}
