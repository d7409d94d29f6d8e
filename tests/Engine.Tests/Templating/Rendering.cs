using System.Text.Json;

namespace LocalLlm.Tests.Templating;

/// <summary>Short forms for rendering in tests.</summary>
internal static class Rendering
{
    public static JsonElement Json(string json) => JsonDocument.Parse(json).RootElement.Clone();
}
