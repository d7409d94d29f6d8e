using System.Text.Json;
using System.Text.Json.Nodes;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Jinja.Tests;

/// <summary>Real templates of many models: their output equals Jinja2's, byte for byte.</summary>
public sealed class GoldenTests
{
    [Fact]
    public void Every_golden_of_jinja2_is_rendered_byte_for_byte()
    {
        var folder = TestPaths.Shared("data", "templates");
        var contexts = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "goldens", "jinja2_contexts.json")))!.AsObject();
        var failures = new List<string>();
        var count = 0;
        foreach (var line in File.ReadLines(Path.Combine(folder, "goldens", "jinja2_goldens.jsonl")))
        {
            var golden = JsonNode.Parse(line)!.AsObject();
            var name = (string)golden["template"]!;
            var source = Source(Path.Combine(folder, name));
            if (source is null)
                continue;
            var context = contexts[(string)golden["context"]!]!.DeepClone().AsObject();
            context["bos_token"] = golden["bos_token"]!.DeepClone();
            context["eos_token"] = golden["eos_token"]!.DeepClone();
            count++;
            if (Render(source, context, FixedTime.At(2025, 7, 10)) != (string?)golden["output"])
                failures.Add($"{name} with {golden["context"]}");
        }

        Assert.True(count > 1000, $"only {count} goldens have their template beside the checkout");
        Assert.Empty(failures);
    }

    [Fact]
    public void Every_golden_of_transformers_is_rendered_byte_for_byte()
    {
        var folder = TestPaths.Shared("goldens", "templates");
        var chats = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "messages.json")))!.AsArray()
            .ToDictionary(chat => (string)chat!["case"]!, chat => chat!.AsObject());
        var failures = new List<string>();
        var count = 0;
        foreach (var file in Directory.EnumerateFiles(folder, "*.json").Where(f => !f.EndsWith("messages.json", StringComparison.Ordinal)))
        {
            var golden = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
            var source = Source(Path.Combine(Path.GetDirectoryName(TestPaths.Repository)!, (string)golden["file"]!));
            if (source is null)
                continue;
            foreach (var expected in golden["cases"]!.AsArray())
            {
                var chat = chats[(string)expected!["case"]!];
                var variables = new JsonObject
                {
                    ["messages"] = chat["messages"]!.DeepClone(),
                    ["tools"] = chat["tools"]?.DeepClone(),
                    ["add_generation_prompt"] = expected["add_generation_prompt"]!.DeepClone(),
                    ["bos_token"] = golden["bos_token"]!.DeepClone(),
                    ["eos_token"] = golden["eos_token"]!.DeepClone(),
                };
                count++;
                if (Render(source, variables, FixedTime.At(2026, 11, 23)) != (string?)expected["rendered"])
                    failures.Add($"{Path.GetFileName(file)}: {expected["case"]}, {expected["add_generation_prompt"]}");
            }
        }

        Assert.True(count > 300, $"only {count} goldens have their template beside the checkout");
        Assert.Empty(failures);
    }

    // The rendered text, or null for a template that fails.
    private static string? Render(string source, JsonObject variables, TimeProvider time)
    {
        try
        {
            return JinjaTemplate.Parse(source).Render(JsonSerializer.SerializeToElement(variables), time);
        }
        catch (TemplateException)
        {
            return null;
        }
    }

    // A template's file, or the field after '#' of a JSON file; null if the file is absent.
    private static string? Source(string name)
    {
        var parts = name.Split('#');
        if (!File.Exists(parts[0]))
            return null;
        var text = File.ReadAllText(parts[0]);
        return parts[0].EndsWith(".json", StringComparison.Ordinal) ? (string?)JsonNode.Parse(text)!["chat_template"] : text;
    }
}
