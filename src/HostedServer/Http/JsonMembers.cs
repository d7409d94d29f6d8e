using System.Globalization;
using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Server.Http;

/// <summary>Rejects what JSON's grammar allows but has no clear meaning: duplicate members of an object, unpaired surrogates.</summary>
internal static class JsonMembers
{
    /// <summary>
    /// Checks every member and text below <paramref name="root"/>; the parser has bounded its depth. Messages that a model or a tool wrote
    /// may hold unpaired surrogates: these are repaired where messages are read.
    /// </summary>
    /// <exception cref="ApiException">400, with the path as <c>param</c>.</exception>
    public static void Check(JsonElement root) => Check(root, "", isMended: false);

    private static void Check(JsonElement element, string path, bool isMended)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                CheckObject(element, path, isMended || (path.StartsWith("messages[", StringComparison.Ordinal) && ChatMessagesJson.IsOfModel(element)));
                break;
            case JsonValueKind.Array:
                var index = 0;
                foreach (var item in element.EnumerateArray())
                {
                    if (item.ValueKind is JsonValueKind.Object or JsonValueKind.Array or JsonValueKind.String)
                        Check(item, $"{path}[{index.ToString(CultureInfo.InvariantCulture)}]", isMended);
                    index++;
                }

                break;
            case JsonValueKind.String when !isMended:
                Read(path, () => element.GetString()!);
                break;
        }
    }

    private static void CheckObject(JsonElement element, string path, bool isMended)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var member in element.EnumerateObject())
        {
            var name = Read(path, () => member.Name);
            var place = RequestErrors.Printable(path.Length == 0 ? name : $"{path}.{name}");
            if (!seen.Add(name))
                throw new ApiException(ApiError.Invalid($"{place}: given twice; give it once.", place));
            Check(member.Value, place, isMended);
        }
    }

    private static string Read(string path, Func<string> read)
    {
        try
        {
            return read();
        }
        catch (InvalidOperationException)
        {
            throw new ApiException(ApiError.Invalid($"{(path.Length == 0 ? "A name" : path)}: half of a surrogate pair; send valid Unicode text.", path.Length == 0 ? null : path));
        }
    }
}
