using LocalLlm.Parsing;
using LocalLlm.Templating;
using LocalLlm.Tests.Weights;
using LocalLlm.Tokenizers;
using Xunit;

namespace LocalLlm.Tests.Templating;

/// <summary>Every system text of a chat reaches the model, whatever its template does with system messages.</summary>
public class MessageReachTests
{
    private const string ChatMl = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
    private const string First = "{% if messages[0].role == 'system' %}[{{ messages[0].content }}]{% endif %}{% for m in messages %}{% if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}";
    private const string FirstOrError = "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('System message must be at the beginning.') }}{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}";
    private const string Never = "{% for m in messages %}{% if m.role in ['user', 'assistant'] %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}";
    private const string Lists = "{% for m in messages %}{% if m.role != 'system' or loop.first %}<{{ m.role }}>{% for p in m['content'] %}{{ p.text }}{% endfor %}{% endif %}{% endfor %}";

    private static readonly (string Name, string Messages)[] s_orders =
    [
        ("TWO", """[{"role":"system","content":"ALPHA"},{"role":"system","content":"BETA"},{"role":"user","content":"q"}]"""),
        ("LATER", """[{"role":"system","content":"ALPHA"},{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"system","content":"BETA"},{"role":"user","content":"r"}]"""),
        ("LAST", """[{"role":"system","content":"ALPHA"},{"role":"user","content":"q"},{"role":"system","content":"BETA"}]"""),
        ("DEVELOPER", """[{"role":"developer","content":"ALPHA"},{"role":"system","content":"BETA"},{"role":"user","content":"q"}]"""),
        ("NOT_FIRST", """[{"role":"user","content":"q"},{"role":"system","content":"ALPHA"},{"role":"developer","content":"BETA"},{"role":"user","content":"r"}]"""),
        ("PARTS", """[{"role":"system","content":[{"type":"text","text":"ALPHA"}]},{"role":"user","content":"q"},{"role":"system","content":"BETA"},{"role":"user","content":"r"}]"""),
    ];

    public static TheoryData<string, string> Orders => [.. s_orders];

    [Theory]
    [MemberData(nameof(Orders))]
    public void The_tiny_model_gets_every_system_text_in_front(string name, string messages)
    {
        Assert.NotEmpty(name);
        var prompt = Render(ChatTemplate.Load(TestPaths.TinyR1), messages);
        Assert.StartsWith("<｜begin▁of▁sentence｜>ALPHA\n\nBETA<｜User｜>q", prompt, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Orders))]
    public void A_template_that_writes_one_system_message_gets_one(string name, string messages)
    {
        Assert.NotEmpty(name);
        Assert.StartsWith("[ALPHA\n\nBETA]<user>q", Render(First, messages), StringComparison.Ordinal);
        Assert.StartsWith("<system>ALPHA\n\nBETA<user>q", Render(FirstOrError, messages).Replace("<developer>", "<system>", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.StartsWith("<system>ALPHA\n\nBETA<user>q", Render(Lists, messages), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Orders))]
    public void A_template_that_writes_no_system_message_gets_the_text_in_the_first_users(string name, string messages)
    {
        Assert.NotEmpty(name);
        Assert.StartsWith("<user>ALPHA\n\nBETA\n\nq", Render(Never, messages), StringComparison.Ordinal);
    }

    [Fact]
    public void A_template_that_writes_every_system_message_gets_them_where_they_are() =>
        Assert.Equal("<system>A<user>q<system>B<user>r", Render(ChatMl, """[{"role":"system","content":"A"},{"role":"user","content":"q"},{"role":"developer","content":"B"},{"role":"user","content":"r"}]"""));

    [Fact]
    public void A_template_that_knows_developers_gets_their_messages() =>
        Assert.Equal("D:A<user>q", Render("{% for m in messages %}{{ 'D:' if m.role == 'developer' else '<' ~ m.role ~ '>' }}{{ m.content }}{% endfor %}", """[{"role":"developer","content":"A"},{"role":"user","content":"q"}]"""));

    [Fact]
    public void A_single_system_message_that_is_passed_over_goes_to_the_first_user()
    {
        Assert.Equal("<user>S\n\nq", Render(Never, """[{"role":"system","content":"S"},{"role":"user","content":"q"}]"""));
        Assert.Equal("<user>S", Render(Never, """[{"role":"system","content":"S"}]"""));
    }

    [Fact]
    public void An_empty_system_message_tells_nothing_of_the_template()
    {
        using var folder = new TemporaryFolder();
        var template = ChatTemplate.Load(folder.Path, Never);
        Assert.Equal("<user>q", Render(template, """[{"role":"system","content":""},{"role":"user","content":"q"}]"""));
        Assert.Equal("<user>S\n\nq", Render(template, """[{"role":"system","content":"S"},{"role":"user","content":"q"}]"""));
    }

    [Fact]
    public void The_tools_text_is_joined_with_a_later_system_message()
    {
        using var folder = new TemporaryFolder();
        var template = ChatTemplate.Load(folder.Path, First).With(ToolPrompt.Load(ToolCallFormat.Hermes, "TOOLS {{ tools[0].function.name }}\n"));
        var prompt = template.Render(new()
        {
            Messages = Rendering.Json("""[{"role":"user","content":"q"},{"role":"system","content":"LATE"}]"""),
            Tools = Rendering.Json("""[{"type":"function","function":{"name":"f"}}]"""),
            DescribeTools = true,
        }).Text;
        Assert.Contains("TOOLS f", prompt, StringComparison.Ordinal);
        Assert.Contains("\n\nLATE]<user>q", prompt, StringComparison.Ordinal);
    }

    [Fact]
    public void Special_tokens_in_a_joined_system_text_stay_text()
    {
        var template = ChatTemplate.Load(TestPaths.TinyR1);
        var tokenizer = Tokenizer.Load(TestPaths.TinyR1);
        var prompt = template.Render(
            new() { Messages = Rendering.Json("""[{"role":"system","content":"A"},{"role":"user","content":"q"},{"role":"system","content":"<｜User｜>"}]""") },
            (text, guard, _) => tokenizer.GuardText(text, guard));
        Assert.Contains($"{prompt.Guard}<｜User｜><｜User｜>q", prompt.GuardedText, StringComparison.Ordinal);
    }

    [Fact]
    public void A_role_that_the_template_passes_over_is_refused_by_name()
    {
        const string Messages = """[{"role":"user","content":"q"},{"role":"critic","content":"bad"}]""";
        var error = Assert.Throws<EngineException>(() => Render(ChatTemplate.Load(TestPaths.TinyR1), Messages));
        Assert.Equal(EngineErrorKind.InvalidRequest, error.Kind);
        Assert.Contains("'critic'", error.Message, StringComparison.Ordinal);
        Assert.Contains("use another of system, developer, user, assistant, tool", error.Message, StringComparison.Ordinal);
        Assert.Equal("<user>q<critic>bad", Render(ChatMl, Messages));
    }

    [Fact]
    public void A_result_of_a_tool_that_the_template_passes_over_is_refused_by_name()
    {
        const string Messages = """[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"tool","content":"42"},{"role":"user","content":"r"}]""";
        Assert.Contains("'tool'", Assert.Throws<EngineException>(() => Render(Never, Messages)).Message, StringComparison.Ordinal);
        Assert.Equal("<user>q<assistant>a<tool>42<user>r", Render(ChatMl, Messages));
    }

    public static TheoryData<string> Published()
    {
        var folder = Path.Combine(Path.GetDirectoryName(TestPaths.Repository)!, "shared", "data", "templates");
        return Directory.Exists(folder)
            ? [.. Directory.EnumerateFiles(folder, "*.jinja*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(folder, path)).Order(StringComparer.Ordinal)]
            : ["none"];
    }

    // A template may refuse in its own words: Gemma 2 takes no system message at all.
    [Theory]
    [MemberData(nameof(Published))]
    public void Published_templates_lose_no_system_text(string file)
    {
        Assert.SkipWhen(file == "none", "../shared/data/templates is absent");
        using var folder = new TemporaryFolder();
        folder.Write("tokenizer_config.json", """{"bos_token":"<s>","eos_token":"</s>"}""");
        var template = ChatTemplate.Load(folder.Path, Path.Combine(TestPaths.Shared("data", "templates"), file));
        foreach (var (name, messages) in s_orders)
        {
            try
            {
                var prompt = Render(template, messages);
                Assert.True(prompt.Contains("ALPHA", StringComparison.Ordinal) && prompt.Contains("BETA", StringComparison.Ordinal), $"{name}: {prompt}");
            }
            catch (EngineException e)
            {
                Assert.True(!e.Message.Contains("beginning", StringComparison.OrdinalIgnoreCase), $"{name}: {e.Message}");
                TestContext.Current.TestOutputHelper!.WriteLine($"{name}: {e.Message}");
            }
        }
    }

    // A template that has a place for calls also has one for their results.
    [Theory]
    [MemberData(nameof(Published))]
    public void Published_templates_write_results_of_tools_or_the_request_is_refused(string file)
    {
        Assert.SkipWhen(file == "none", "../shared/data/templates is absent");
        using var folder = new TemporaryFolder();
        folder.Write("tokenizer_config.json", """{"bos_token":"<s>","eos_token":"</s>"}""");
        var template = ChatTemplate.Load(folder.Path, Path.Combine(TestPaths.Shared("data", "templates"), file));
        try
        {
            Assert.Contains("RESULT", Render(template, """[{"role":"user","content":"q"},{"role":"assistant","content":"","tool_calls":[{"id":"abcdefghi","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"abcdefghi","name":"f","content":"RESULT"}]"""), StringComparison.Ordinal);
        }
        catch (EngineException e)
        {
            TestContext.Current.TestOutputHelper!.WriteLine(e.Message);
        }
    }

    private static string Render(string source, string messages)
    {
        using var folder = new TemporaryFolder();
        return Render(ChatTemplate.Load(folder.Path, source), messages);
    }

    private static string Render(ChatTemplate template, string messages) => template.Render(new() { Messages = Rendering.Json(messages) }).Text;
}
