using System.Text.Json;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Jinja.Tests;

public sealed class JinjaVectorTests
{
    [Fact]
    public void Made_up_templates_render_or_fail_as_in_jinja2()
    {
        var path = Path.Combine(TestPaths.Repository, "tests", "Jinja.Tests", "jinja2_vectors.json");
        using var document = JsonDocument.Parse(File.ReadAllText(path));
        var variables = document.RootElement.GetProperty("variables");
        var failures = new List<string>();
        var count = 0;
        foreach (var vector in document.RootElement.GetProperty("vectors").EnumerateArray())
        {
            count++;
            var source = vector[0].GetString()!;
            string? actual = null;
            var error = "";
            try
            {
                actual = JinjaTemplate.Parse(source).Render(TemplateValues.Object(variables), FixedTime.At(2025, 7, 10));
            }
            catch (TemplateException e)
            {
                error = e.Describe();
            }

            if (actual != vector[1].GetString())
                failures.Add($"{source}\n  wanted {vector[1].GetRawText()}\n  got {JsonSerializer.Serialize(actual)} {error}");
        }

        Assert.True(count >= 500);
        Assert.Empty(failures);
    }
}
