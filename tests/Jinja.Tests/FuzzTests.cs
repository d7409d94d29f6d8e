using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Jinja.Tests;

public sealed class FuzzTests
{
    private static readonly string[] Fragments =
    [
        "{{", "}}", "{%", "%}", "{#", "#}", "-", "if ", "for ", "endfor", "endif", "else", "in ", "(", ")", "[", "]", "|", ".", "~", "'", "\"",
        "\\", "set ", "macro ", "loop", "messages", "[0]", " is ", "**", "1e999", "\ud83d", "\0", "raw", "namespace(", "0x", "9999999999",
    ];

    [Fact]
    public void A_mutated_template_fails_with_a_typed_error_or_renders()
    {
        var multiplier = double.Parse(Environment.GetEnvironmentVariable("LOCALLLM_FUZZ") ?? "1", CultureInfo.InvariantCulture);
        var seeds = Seeds();
        var random = new Random(20250710);
        using var variables = JsonDocument.Parse(
            """{"messages":[{"role":"system","content":"S"},{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":{"a":1}}}]}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"add_generation_prompt":true,"bos_token":"<s>"}""");
        var slowest = TimeSpan.Zero;
        for (var i = 0; i < 1000 * multiplier; i++)
        {
            var source = Mutate(seeds[random.Next(seeds.Count)], random);
            var clock = Stopwatch.StartNew();
            try
            {
                JinjaTemplate.Parse(source).Render(variables.RootElement, FixedTime.At(2025, 7, 10));
            }
            catch (TemplateException)
            {
            }

            slowest = clock.Elapsed > slowest ? clock.Elapsed : slowest;
        }

        Assert.True(slowest < TimeSpan.FromSeconds(5), $"the slowest took {slowest}");
    }

    private static List<string> Seeds()
    {
        using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(TestPaths.TinyR1, "tokenizer_config.json")));
        List<string> seeds =
        [
            config.RootElement.GetProperty("chat_template").GetString()!,
            "{%- macro m(a, b=2) -%}{{ a ~ caller() }}{%- endmacro -%}{% call m(1) %}{{ messages|map(attribute='role')|join(',') }}{% endcall %}",
            "{% for m in messages if m.role != 'x' recursive %}{{ loop.index }}{{ '%s|%5.2f' % (m.role, 1.5) }}{% else %}none{% endfor %}{{ tools|tojson(indent=2) }}",
            "{% set ns = namespace(a='') %}{% with x = 1 %}{% filter upper %}{{ x }}{% raw %}{{{% endraw %}{% endfilter %}{% endwith %}{{ messages[::-1][0].content[1:] }}",
        ];
        var shared = Path.Combine(Path.GetDirectoryName(TestPaths.Repository)!, "shared", "data", "templates");
        if (Directory.Exists(shared))
            seeds.AddRange(Directory.EnumerateFiles(shared, "*.jinja", SearchOption.AllDirectories).Order().Select(File.ReadAllText));
        return seeds;
    }

    private static string Mutate(string source, Random random)
    {
        for (var n = random.Next(1, 6); n > 0; n--)
        {
            var at = random.Next(source.Length + 1);
            var length = random.Next(Math.Min(30, source.Length - at) + 1);
            source = random.Next(5) switch
            {
                0 => source[..at],
                1 => source.Remove(at, length),
                2 => source.Insert(at, Fragments[random.Next(Fragments.Length)]),
                3 => source.Insert(random.Next(source.Length + 1), source.Substring(at, length)),
                _ => at < source.Length ? source[..at] + (char)(source[at] ^ (1 << random.Next(7))) + source[(at + 1)..] : source,
            };
        }

        return source;
    }
}
