using System.Text.Json.Nodes;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Commands;

public sealed class RenderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("localllm-render-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_lines_members_are_the_templates_variables()
    {
        var template = Write("t.jinja", "{{ bos_token }}{{ a + 1 }}{{ 1.0 * b }}{{ tools is none }}{{ messages | length }}{{ missing }}");
        var run = await Cli.WithInputAsync(
            """
            {"messages": [1, 2], "a": 1, "b": 2, "bos_token": "<s>"}
            {"messages": [], "a": 1.5, "b": 1, "tools": []}
            """,
            "render", "--template", template, "--input", "-");
        Assert.Equal(["<s>22.0True2", "2.51.0False0"], JsonTest.ParseAll(run.Lines).Select(line => line.Text("text")));
    }

    [Fact]
    public async Task A_bad_line_is_an_error_in_its_place()
    {
        var template = Write("t.jinja", "{% if stop %}{{ raise_exception('no ' ~ stop) }}{% endif %}{{ messages[0].content }}");
        var run = await Cli.WithInputAsync(
            """
            {"messages": [{"content": "a"}]}
            {"stop": "way", "messages": [{"content": "a"}]}
            not json

            {"messages": 5}
            {"messages": [{"content": "\ud800"}]}
            {"messages": [{"content": "ä😀"}]}

            """,
            "render", "--template", template, "--input", "-");
        var lines = JsonTest.ParseAll(run.Lines);
        Assert.Equal(7, lines.Length);
        Assert.Equal(["a", null, null, null, null, null, "ä😀"], lines.Select(line => line.TryGetProperty("text", out var text) ? text.GetString() : null));
        Assert.Contains("no way", lines[1].Text("error"), StringComparison.Ordinal);
        Assert.All(lines[1..6], line => Assert.NotEmpty(line.Text("error")));
    }

    [Fact]
    public async Task An_invalid_template_is_an_error_on_every_line()
    {
        var run = await Cli.WithInputAsync("{}\n{}\n", "render", "--template", Write("t.jinja", "{% if %}"), "--input", "-");
        Assert.Equal(0, run.ExitCode);
        Assert.Equal(2, JsonTest.ParseAll(run.Lines).Count(line => line.Text("error").Length > 0));
    }

    [Theory]
    [InlineData("2025-07-10 12:00", "2025-07-10 12:00:00")]
    [InlineData("2025-07-10T12:34:56", "2025-07-10 12:34:56")]
    [InlineData("2025-07-10T12:34:56.789", "2025-07-10 12:34:56")]
    [InlineData("2025-07-10", "2025-07-10 00:00:00")]
    [InlineData("2025-07-10T23:59:00Z", "2025-07-10 23:59:00")]
    [InlineData("2025-07-10T23:59:00+05:00", "2025-07-10 23:59:00")]
    public async Task Now_is_what_the_wall_says(string now, string expected)
    {
        var run = await Cli.WithInputAsync("{}", "render", "--template", Write("t.jinja", "{{ strftime_now('%Y-%m-%d %H:%M:%S') }}"), "--now", now, "--input", "-");
        Assert.Equal(expected, JsonTest.Parse(run.Lines[0]).Text("text"));
    }

    [Theory]
    [InlineData("""{"chat_template": "T{{ a }}"}""", "T1")]
    [InlineData("""{"chat_template": [{"name": "other", "template": "O"}, {"name": "default", "template": "D{{ a }}"}]}""", "D1")]
    [InlineData("{{ a }}", "1")]
    [InlineData("{# a #}x", "x")]
    [InlineData("{\"a\": {{ a }}}", "{\"a\": 1}")]
    public async Task A_template_file_may_be_text_or_json(string content, string expected)
    {
        var run = await Cli.WithInputAsync("""{"a": 1}""", "render", "--template", Write("t", content), "--input", "-");
        Assert.Equal(expected, JsonTest.Parse(run.Lines[0]).Text("text"));
    }

    [Fact]
    public async Task A_folder_gives_its_special_tokens_where_a_line_gives_none()
    {
        Write("tokenizer_config.json", """{"bos_token": {"content": "<b>"}, "eos_token": "<e>", "chat_template": "{{ bos_token }}{{ x }}{{ eos_token }}"}""");
        var run = await Cli.WithInputAsync("{\"x\": 1}\n{\"x\": 2, \"bos_token\": \"B\"}", "render", "--model", _folder, "--input", "-");
        Assert.Equal(["<b>1<e>", "B2<e>"], JsonTest.ParseAll(run.Lines).Select(line => line.Text("text")));
        var other = await Cli.WithInputAsync("{\"x\": 1}", "render", "--model", _folder, "--template", Write("t.jinja", "{{ eos_token }}!"), "--input", "-");
        Assert.Equal("<e>!", JsonTest.Parse(other.Lines[0]).Text("text"));
    }

    [Theory]
    [InlineData("{}", "has no chat_template")]
    [InlineData("{\"chat_template\": 5}", "has no chat_template")]
    [InlineData(null, "does not exist")]
    public async Task A_file_without_template_is_one_error(string? content, string says)
    {
        var path = content is null ? Path.Combine(_folder, "missing") : Write("t.json", content);
        var run = await Cli.WithInputAsync("{}", "render", "--template", path, "--input", "-");
        Assert.Equal((1, ""), (run.ExitCode, run.Output));
        Assert.Contains(says, run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("data/tokenizers/deepseek-v3/tokenizer_config.json", "config--deepseek-v3")]
    [InlineData("data/tokenizers/llama-3.1-8b-instruct/tokenizer_config.json", "config--llama-3.1-8b-instruct")]
    [InlineData("data/templates/llama.cpp/Qwen-QwQ-32B.jinja", "llama.cpp--Qwen-QwQ-32B")]
    [InlineData("data/templates/mistral.rs/llama3.json", "mistral.rs--llama3")]
    public async Task Templates_give_the_reference_renders(string template, string golden)
    {
        var path = TestPaths.Shared(template.Split('/'));
        var messages = (await NodeAsync("messages")).AsArray().ToDictionary(one => one!["case"]!.GetValue<string>(), one => one!);
        var reference = await NodeAsync(golden);
        var cases = reference["cases"]!.AsArray();
        var lines = cases.Select(one =>
        {
            var line = (JsonObject)messages[one!["case"]!.GetValue<string>()].DeepClone();
            line.Remove("case");
            line["add_generation_prompt"] = one["add_generation_prompt"]!.DeepClone();
            line["bos_token"] = reference["bos_token"]!.DeepClone();
            line["eos_token"] = reference["eos_token"]!.DeepClone();
            return line.ToJsonString();
        });
        var run = await Cli.WithInputAsync(string.Join('\n', lines), "render", "--template", path, "--now", "2026-11-23 12:00", "--input", "-");
        foreach (var (line, one) in JsonTest.ParseAll(run.Lines).Zip(cases))
        {
            if (one!["error"] is null)
                Assert.Equal(one["rendered"]!.GetValue<string>(), line.Text("text"));
            else
                Assert.NotEmpty(line.Text("error"));
        }
    }

    private static async Task<JsonNode> NodeAsync(string name) =>
        JsonNode.Parse(await File.ReadAllTextAsync(TestPaths.Shared("goldens", "templates", name + ".json"), TestContext.Current.CancellationToken))!;

    private string Write(string name, string content)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, content);
        return path;
    }
}
