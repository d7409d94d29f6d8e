using System.Text.Json;
using LocalLlm.Templating;
using Xunit;

namespace LocalLlm.Tests.Templating;

public sealed class ChatTemplateTests : IDisposable
{
    private const string ChatMl = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    private readonly string _folder = Directory.CreateTempSubdirectory("chat-template").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private ChatTemplate Load(string template, ChatContentFormat format = ChatContentFormat.Auto) =>
        ChatTemplate.Load(_folder, template, format);

    private void Write(string file, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(_folder, file))!);
        File.WriteAllText(Path.Combine(_folder, file), text);
    }

    private static ChatTemplateRequest Chat(string messages, bool prompt = false) =>
        new() { Messages = Rendering.Json(messages), AddGenerationPrompt = prompt };

    [Fact]
    public void The_tiny_model_renders_a_typed_chat()
    {
        var template = ChatTemplate.Load(TestPaths.TinyR1);
        var prompt = template.Render(ChatTemplateRequest.FromMessages([new("system", "Be kind."), new("user", "Hi")]));
        Assert.Equal("<｜begin▁of▁sentence｜>Be kind.<｜User｜>Hi<｜Assistant｜><think>\n", prompt.Text);
        Assert.Equal(prompt.Text, prompt.GuardedText);
        Assert.Null(prompt.Guard);
    }

    [Fact]
    public void A_jinja_file_wins_over_the_tokenizer_config()
    {
        Write("tokenizer_config.json", """{"chat_template":"config {{ bos_token }}","bos_token":{"content":"<B>"},"eos_token":null}""");
        Assert.Equal("config <B>", ChatTemplate.Load(_folder).Render(Chat("""[{"role":"user","content":"x"}]""")).Text);
        Write("chat_template.json", """{"chat_template":"json"}""");
        Assert.Equal("json", ChatTemplate.Load(_folder).Render(Chat("""[{"role":"user","content":"x"}]""")).Text);
        Write("chat_template.jinja", "jinja {{ eos_token is defined }}");
        Assert.Equal("jinja False", ChatTemplate.Load(_folder).Render(Chat("""[{"role":"user","content":"x"}]""")).Text);
    }

    [Fact]
    public void Tools_choose_the_tool_use_template()
    {
        Write("tokenizer_config.json", """{"chat_template":[{"name":"default","template":"D"},{"name":"tool_use","template":"T"}]}""");
        Write("additional_chat_templates/rag.jinja", "R");
        var template = ChatTemplate.Load(_folder);
        var request = Chat("""[{"role":"user","content":"x"}]""");
        Assert.Equal("D", template.Render(request).Text);
        Assert.Equal("T", template.Render(request with { Tools = Rendering.Json("""[{"type":"function"}]""") }).Text);
        Assert.Equal("R", ChatTemplate.Load(_folder, "rag").Render(request).Text);
    }

    [Fact]
    public void Special_tokens_come_from_both_files()
    {
        Write("tokenizer_config.json", """{"bos_token":"<1>","extra_special_tokens":{"image_token":"<img>"},"additional_special_tokens":["<a>",{"content":"<b>"}]}""");
        Write("special_tokens_map.json", """{"bos_token":"<2>","eos_token":{"content":"<3>","lstrip":false}}""");
        var template = Load("{{ bos_token }}{{ eos_token }}{{ image_token }}{{ additional_special_tokens|join }}");
        Assert.Equal("<1><3><img><a><b>", template.Render(Chat("""[{"role":"user","content":"x"}]""")).Text);
    }

    [Fact]
    public void An_override_is_a_file_or_a_template_but_not_a_missing_path()
    {
        Write("mine.jinja", "from file");
        Assert.Equal("from file", Load(Path.Combine(_folder, "mine.jinja")).Render(Chat("""[{"role":"user","content":"x"}]""")).Text);
        Assert.Equal("inline x", Load("inline {{ messages[0].content }}").Render(Chat("""[{"role":"user","content":"x"}]""")).Text);
        Assert.Equal(EngineErrorKind.InvalidOptions, Assert.Throws<EngineException>(() => Load("./missing.jinja")).Kind);
    }

    [Fact]
    public void A_model_without_a_template_says_what_to_do()
    {
        var template = ChatTemplate.Load(_folder);
        Assert.False(template.IsAvailable);
        var error = Assert.Throws<EngineException>(() => template.Render(Chat("""[{"role":"user","content":"x"}]""")));
        Assert.Equal(EngineErrorKind.InvalidRequest, error.Kind);
        Assert.Contains("--chat-template", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokenizer_config.json", "[]")]
    [InlineData("tokenizer_config.json", "{")]
    [InlineData("tokenizer_config.json", """{"chat_template":5}""")]
    [InlineData("tokenizer_config.json", """{"chat_template":[{"name":"x"}]}""")]
    [InlineData("tokenizer_config.json", """{"chat_template":"{% if %}"}""")]
    [InlineData("tokenizer_config.json", """{"chat_template":"\ud800"}""")]
    [InlineData("tokenizer_config.json", """{"bos_token":5}""")]
    [InlineData("special_tokens_map.json", """{"eos_token":{"content":5}}""")]
    [InlineData("chat_template.jinja", "{{ x | nonsense }}")]
    public void A_malformed_folder_names_the_file(string file, string text)
    {
        Write(file, text);
        var error = Assert.Throws<EngineException>(() => ChatTemplate.Load(_folder));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        Assert.Contains(file, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_syntax_error_has_its_line()
    {
        var error = Assert.Throws<EngineException>(() => Load("a\nb\n{% if x %}\n{% endfor %}"));
        Assert.Contains("line 4", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_template_raises_reaches_the_caller()
    {
        var template = Load("{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% endfor %}");
        var error = Assert.Throws<EngineException>(() => template.Render(Chat("""[{"role":"system","content":"x"}]""")));
        Assert.Equal(EngineErrorKind.InvalidRequest, error.Kind);
        Assert.Contains("System role not supported", error.Message, StringComparison.Ordinal);
        Assert.Equal("messages", error.Parameter);
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("[null]")]
    [InlineData("[5]")]
    [InlineData("""[{"content":"x"}]""")]
    [InlineData("""[{"role":5,"content":"x"}]""")]
    [InlineData("""[{"role":"user","content":5}]""")]
    [InlineData("""[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]""")]
    [InlineData("""[{"role":"user","content":[{"type":"text","text":5}]}]""")]
    [InlineData("""[{"role":"user","content":[5]}]""")]
    [InlineData("""[{"role":"user","content":[{"foo":5}]}]""")]
    [InlineData("""[{"role":"user","content":"\ud800"}]""")]
    [InlineData("""[{"role":"user","content":"x","n":1e999}]""")]
    [InlineData("""[{"role":"assistant","tool_calls":5}]""")]
    [InlineData("""[{"role":"assistant","tool_calls":[5]}]""")]
    public void Malformed_messages_are_the_callers_fault(string messages)
    {
        var error = Assert.Throws<EngineException>(() => Load(ChatMl).Render(Chat(messages)));
        Assert.Equal(EngineErrorKind.InvalidRequest, error.Kind);
        Assert.Equal("messages", error.Parameter);
    }

    [Theory]
    [InlineData("chat_template")]
    [InlineData("tokenize")]
    [InlineData("messages")]
    [InlineData("add_generation_prompt")]
    [InlineData("bos_token")]
    [InlineData("raise_exception")]
    public void Reserved_names_are_refused(string name)
    {
        var request = Chat("""[{"role":"user","content":"x"}]""") with
        {
            ChatTemplateKwargs = new Dictionary<string, JsonElement> { [name] = Rendering.Json("true") },
        };
        var error = Assert.Throws<EngineException>(() => Load(ChatMl).Render(request));
        Assert.Equal(EngineErrorKind.InvalidRequest, error.Kind);
        Assert.Equal("chat_template_kwargs", error.Parameter);
    }

    [Fact]
    public void Other_variables_reach_the_template()
    {
        var request = Chat("""[{"role":"user","content":"x"}]""") with
        {
            ChatTemplateKwargs = new Dictionary<string, JsonElement> { ["enable_thinking"] = Rendering.Json("false") },
            Documents = Rendering.Json("""[{"title":"T"}]"""),
        };
        Assert.Equal("False T None", Load("{{ enable_thinking }} {{ documents[0].title }} {{ tools }}").Render(request).Text);
    }

    [Fact]
    public void Text_parts_are_joined_for_a_template_of_strings_and_kept_for_one_of_lists()
    {
        const string Parts = """[{"role":"user","content":[{"type":"text","text":"a"},{"type":"input_text","text":"b"},"c"]}]""";
        Assert.Equal("a\nb\nc", Load("{{ messages[0].content }}").Render(Chat(Parts)).Text);
        const string Lists = "{% for m in messages %}{% for p in m['content'] %}[{{ p.text }}]{% endfor %}{% endfor %}";
        Assert.Equal("[a][b][c]", Load(Lists).Render(Chat(Parts)).Text);
        Assert.Equal("[s]", Load(Lists).Render(Chat("""[{"role":"user","content":"s"}]""")).Text);
        const string Both = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}{% endfor %}";
        Assert.Equal("s", Load(Both).Render(Chat("""[{"role":"user","content":"s"}]""")).Text);
        Assert.Equal("[a][b][c]", Load(Both).Render(Chat(Parts)).Text);
        Assert.Equal("a\nb\nc", Load(Both, ChatContentFormat.String).Render(Chat(Parts)).Text);
    }

    [Fact]
    public void Arguments_of_tool_calls_arrive_as_objects()
    {
        const string Calls = """[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"b\": 1, \"a\": [2.0]}"}}]},{"role":"assistant","content":"x","tool_calls":[]}]""";
        const string Source = "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.arguments.items()|list }}{% endfor %}{{ m.tool_calls is defined }}|{% endfor %}";
        Assert.Equal("[('b', 1), ('a', [2.0])]True|False|", Load(Source).Render(Chat(Calls)).Text);
    }

    [Fact]
    public void Arguments_of_tool_calls_stay_text_for_a_template_that_appends_them()
    {
        const string Calls = """[{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":"{\"b\":1}"}},{"function":{"name":"g","arguments":{"é":[1]}}}]}]""";
        const string Source = "{% for c in messages[0].tool_calls %}{{ c.function.name + ' ' + c.function.arguments + '\n' }}{% endfor %}";
        Assert.Equal("f {\"b\":1}\ng {\"é\": [1]}\n", Load(Source).Render(Chat(Calls)).Text);
    }

    [Fact]
    public void Missing_content_is_none_where_the_template_asks_for_it_and_empty_elsewhere()
    {
        const string Calls = """[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{}}}]}]""";
        Assert.Equal("none", Load("{% if messages[0]['content'] is none %}none{% endif %}").Render(Chat(Calls)).Text);
        Assert.Equal("()", Load("{{ '(' + messages[0].content + ')' }}").Render(Chat(Calls)).Text);
    }

    [Fact]
    public void Reasoning_has_both_names()
    {
        const string Source = "{{ messages[0].reasoning }}{{ messages[0].reasoning_content }}";
        Assert.Equal("rr", Load(Source).Render(Chat("""[{"role":"assistant","content":"x","reasoning_content":"r"}]""")).Text);
        Assert.Equal("rr", Load(Source).Render(Chat("""[{"role":"assistant","content":"x","reasoning":"r"}]""")).Text);
    }

    [Fact]
    public void A_final_message_can_be_continued()
    {
        var request = Chat("""[{"role":"user","content":"x"},{"role":"assistant","content":"The answer is "}]""") with { ContinueFinalMessage = true };
        Assert.EndsWith("<|im_start|>assistant\nThe answer is ", Load(ChatMl).Render(request).Text, StringComparison.Ordinal);
        Assert.EndsWith("is", Load(ChatMl.Replace("m.content", "m.content|trim", StringComparison.Ordinal)).Render(request).Text, StringComparison.Ordinal);
        Assert.Throws<EngineException>(() => Load(ChatMl).Render(request with { AddGenerationPrompt = true }));
        Assert.Throws<EngineException>(() => Load("{{ 'content' }}").Render(request));
    }
}
