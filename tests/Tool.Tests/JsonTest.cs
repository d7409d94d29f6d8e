using System.Text.Json;
using Xunit;

namespace LocalLlm.Tests;

/// <summary>Reads lines of output.</summary>
internal static class JsonTest
{
    public static JsonElement Parse(string line)
    {
        using var document = JsonDocument.Parse(line);
        return document.RootElement.Clone();
    }

    public static JsonElement[] ParseAll(IEnumerable<string> lines) => [.. lines.Select(Parse)];

    public static int[] Ids(this JsonElement line, string name) => [.. line.GetProperty(name).EnumerateArray().Select(id => id.GetInt32())];

    public static string Text(this JsonElement line, string name) => line.GetProperty(name).GetString()!;

    /// <summary>The message of a line that must be an error and nothing else but a request id.</summary>
    public static string ErrorMessage(this JsonElement line)
    {
        Assert.DoesNotContain(line.EnumerateObject(), member => member.Name is not ("error" or "request_id"));
        var error = line.GetProperty("error");
        Assert.Equal(["message", "type", "param"], error.EnumerateObject().Select(member => member.Name));
        return error.Text("message");
    }
}
