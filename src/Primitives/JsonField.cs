using System.Text.Json;

namespace LocalLlm.Primitives;

/// <summary>A value of an untrusted JSON file. It knows its file and path, and every error names both.</summary>
/// <param name="file">The file's name.</param>
/// <param name="path">The path of the value in the file.</param>
/// <param name="value">The value.</param>
public readonly struct JsonField(string file, string path, JsonElement value)
{
    /// <summary>The path of the value in its file, such as <c>model.vocab</c>.</summary>
    public string Path => path;

    /// <summary>The value; undefined if absent.</summary>
    public JsonElement Value => value;

    /// <summary>Whether the value is null or absent.</summary>
    public bool IsNull => value.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined;

    /// <summary>Whether the value is a string.</summary>
    public bool IsString => value.ValueKind == JsonValueKind.String;

    /// <summary>Whether the value is an object.</summary>
    public bool IsObject => value.ValueKind == JsonValueKind.Object;

    /// <summary>A member of this object; a null field if absent.</summary>
    /// <param name="name">The member's name.</param>
    public JsonField this[string name]
    {
        get
        {
            if (!IsObject)
                throw Fail($"is {Kind}; an object was expected");
            return new(file, $"{path}.{name}", value.TryGetProperty(name, out var member) ? member : default);
        }
    }

    private string Kind => IsNull ? "absent or null" : value.ValueKind is JsonValueKind.True or JsonValueKind.False
        ? "a boolean" : $"of kind {value.ValueKind}";

    /// <summary>Creates an error about the value.</summary>
    /// <param name="problem">What follows the path in the message.</param>
    /// <param name="cause">The underlying failure, or null.</param>
    public UntrustedFileException Fail(string problem, Exception? cause = null) => new(file, $"{path} {problem}", cause);

    /// <summary>The text of a string.</summary>
    /// <exception cref="UntrustedFileException">The value is another one.</exception>
    public string String()
    {
        if (!IsString)
            throw Fail($"is {Kind}; a string was expected");
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException cause)
        {
            throw Fail("is no valid Unicode text (a lone surrogate is escaped in it)", cause);
        }
    }

    /// <summary>The text of a string; null if the value is null or absent.</summary>
    /// <exception cref="UntrustedFileException">The value is another one.</exception>
    public string? StringOrNull() => IsNull ? null : String();

    /// <summary>True or false.</summary>
    /// <param name="whenAbsent">The result if the value is null or absent.</param>
    /// <exception cref="UntrustedFileException">The value is another one.</exception>
    public bool Bool(bool whenAbsent) => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Null or JsonValueKind.Undefined => whenAbsent,
        _ => throw Fail($"is {Kind}; true or false was expected"),
    };

    /// <summary>A whole number in a range.</summary>
    /// <param name="min">The smallest allowed number.</param>
    /// <param name="max">The largest allowed number.</param>
    /// <exception cref="UntrustedFileException">The value is another one.</exception>
    public int Int32(int min, int max)
    {
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out var number))
        {
            var found = value.ValueKind == JsonValueKind.Number ? Shorten(value.GetRawText()) : Kind;
            throw Fail($"is {found}; a whole number from {min} to {max} was expected");
        }

        return number >= min && number <= max ? number : throw Fail($"is {number}; {min} to {max} was expected");
    }

    /// <summary>Exactly one code point.</summary>
    public string Character()
    {
        var text = String();
        if (text.Length == 0 || CodePoints.At(text, 0, out var width) < 0 || width != text.Length)
            throw Fail($"is \"{Shorten(text)}\"; one character was expected");
        return text;
    }

    /// <summary>The items of an array.</summary>
    /// <exception cref="UntrustedFileException">The value is another one.</exception>
    public IEnumerable<JsonField> Items()
    {
        if (value.ValueKind != JsonValueKind.Array)
            throw Fail($"is {Kind}; an array was expected");
        return Enumerate(file, path, value);

        static IEnumerable<JsonField> Enumerate(string file, string path, JsonElement array)
        {
            var index = 0;
            foreach (var item in array.EnumerateArray())
                yield return new JsonField(file, $"{path}[{index++}]", item);
        }
    }

    /// <summary>The members of this object in file order; duplicate names are refused.</summary>
    public IEnumerable<KeyValuePair<string, JsonField>> Members()
    {
        if (!IsObject)
            throw Fail($"is {Kind}; an object was expected");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var member in value.EnumerateObject())
        {
            string name;
            try
            {
                name = member.Name;
            }
            catch (InvalidOperationException cause)
            {
                throw Fail("has a member whose name is no valid Unicode text", cause);
            }

            if (!seen.Add(name))
                throw Fail($"has the member \"{Shorten(name)}\" twice");
            yield return new(name, new JsonField(file, $"{path}.{Shorten(name)}", member.Value));
        }
    }

    /// <summary>Shortens and escapes a piece of a possibly hostile file for a message.</summary>
    /// <param name="text">The piece.</param>
    public static string Shorten(string text)
    {
        var cut = text.Length > 60 ? string.Concat(text.AsSpan(0, 60), "…") : text;
        return string.Concat(cut.Select(c => char.IsControl(c) || char.IsSurrogate(c) ? $"\\u{(int)c:x4}" : c.ToString()));
    }
}
