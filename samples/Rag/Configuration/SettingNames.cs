using System.ComponentModel;
using System.Globalization;
using System.Reflection;
using LocalLlm.Extensions.AI;
using Microsoft.Extensions.Configuration;

namespace LocalLlm.Samples.Rag.Configuration;

/// <summary>
/// Finds unknown settings, and values of the wrong type, before binding. Binding ignores some of these faults and reports the others in
/// .NET's words. The classes of the sections define which settings exist.
/// </summary>
internal static class SettingNames
{
    private static readonly Dictionary<string, Type> s_sections = new(StringComparer.OrdinalIgnoreCase)
    {
        [RagOptions.SectionName] = typeof(RagOptions),
        ["LocalLlm"] = typeof(LocalLlmOptions),
        ["LocalLlmEmbeddings"] = typeof(LocalLlmEmbeddingsOptions),
    };

    /// <summary>The fault of a key of the command line; null: none.</summary>
    public static string? FaultOfKey(string key)
    {
        var parts = key.Split(':');
        if (!s_sections.TryGetValue(parts[0], out var section))
            return $"'{key}' is no setting: there is no section '{parts[0]}'; allowed: {string.Join(", ", s_sections.Keys)}";
        return Find(section, parts[0], parts.AsSpan(1)).Fault;
    }

    /// <summary>All faults of the section <c>Rag</c>, whatever source they come from.</summary>
    public static IEnumerable<string> FaultsOf(IConfiguration configuration)
    {
        foreach (var (key, value) in configuration.GetSection(RagOptions.SectionName).AsEnumerable(makePathsRelative: true).OrderBy(setting => setting.Key, StringComparer.Ordinal))
        {
            // A section has no value of its own unless one was given by mistake.
            if (value is null)
                continue;
            var (type, fault) = Find(typeof(RagOptions), RagOptions.SectionName, key.Split(':'));
            if (fault is null && !IsValue(type!, value))
                fault = $"{RagOptions.SectionName}:{key} is '{value}'; allowed: {Allowed(type!)}";
            if (fault is not null)
                yield return fault;
        }
    }

    private static (Type? Type, string? Fault) Find(Type section, string path, ReadOnlySpan<string> parts)
    {
        foreach (var part in parts)
        {
            if (!IsSection(section))
                return (null, $"'{path}' has nothing below it, so '{path}:{part}' is no setting");
            if (Properties(section).FirstOrDefault(property => property.Name.Equals(part, StringComparison.OrdinalIgnoreCase)) is not { } property)
                return (null, $"'{path}:{part}' is no setting; '{path}' has {Names(section)}");
            (section, path) = (property.PropertyType, $"{path}:{property.Name}");
        }

        return IsSection(section) ? (null, $"'{path}' is a section, not a setting; it has {Names(section)}") : (section, null);
    }

    private static bool IsSection(Type type) => s_sections.ContainsValue(type) || (type.IsClass && type != typeof(string));

    private static string Names(Type section) => string.Join(", ", Properties(section).Select(property => property.Name));

    // Delegates can only be set in code.
    private static IEnumerable<PropertyInfo> Properties(Type section) => section.GetProperties().Where(property => property.CanWrite && !property.PropertyType.IsAssignableTo(typeof(Delegate)));

    private static bool IsValue(Type type, string value)
    {
        if (type.IsEnum)
            return Enum.GetNames(type).Contains(value, StringComparer.OrdinalIgnoreCase);
        try
        {
            return type == typeof(string) || TypeDescriptor.GetConverter(type).ConvertFromString(null, CultureInfo.InvariantCulture, value) is not null;
        }
        catch (Exception failure) when (failure is FormatException or ArgumentException or NotSupportedException or OverflowException)
        {
            return false;
        }
    }

    private static string Allowed(Type type) => type switch
    {
        { IsEnum: true } => string.Join(", ", Enum.GetNames(type)),
        _ when type == typeof(bool) => "true, false",
        _ when type == typeof(int) => "a whole number",
        _ when type == typeof(TimeSpan) => "a time such as 00:01:00",
        _ => "a number such as 0.5",
    };
}
