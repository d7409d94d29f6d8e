using System.Text.Json;

namespace LocalLlm.Jinja.Tests;

/// <summary>Short forms for rendering in tests.</summary>
internal static class Rendering
{
    public static JsonElement Json(string json) => JsonDocument.Parse(json).RootElement.Clone();

    public static string Render(string source, string variables = "{}", TemplateLimits? limits = null) =>
        JinjaTemplate.Parse(source, limits).Render(TemplateValues.Object(Json(variables)), FixedTime.At(2025, 7, 10));
}
