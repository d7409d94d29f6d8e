using System.Text;
using LocalLlm.Parsing;
using Xunit;

namespace LocalLlm.Tests.Parsing;

public class ToolCallParserTests
{
    private const string V3Call = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": \"Rome\"}\n```<｜tool▁call▁end｜>";
    private const string V31Call = "<｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": \"Rome\"}<｜tool▁call▁end｜>";
    private const string HermesCall = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";
    private const string LlamaCall = "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}";
    private const string Rome = "CALL weather {\"city\": \"Rome\"}";

    public static TheoryData<string, string, string> Answers => new()
    {
        { "deepseek_v3", $"<｜tool▁calls▁begin｜>{V3Call}<｜tool▁calls▁end｜>", Rome },
        { "deepseek_v3", $"Let me see.\n<｜tool▁calls▁begin｜>{V3Call}\n{V3Call}<｜tool▁calls▁end｜>", $"Text Let me see.\n\n{Rome}\n{Rome}" },
        { "deepseek_v3", V3Call, Rome },
        { "deepseek_v3", $"{V3Call}<｜tool▁calls▁end｜> Wait.", $"{Rome}\nText  Wait." },
        { "deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```", "CALL now {}" },
        { "deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now<｜tool▁call▁end｜>", "CALL now {}" },
        { "deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": <｜tool▁call▁end｜>", "CALL weather {\"city\":" },
        { "deepseek_v3", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>nothing<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "Text <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>nothing<｜tool▁call▁end｜><｜tool▁calls▁end｜>" },
        { "deepseek_v3", "only <｜tool▁calls▁begin｜> text", "Text only <｜tool▁calls▁begin｜> text" },
        { "deepseek_v31", $"<｜tool▁calls▁begin｜>{V31Call}{V31Call}<｜tool▁calls▁end｜>", $"{Rome}\n{Rome}" },
        { "deepseek_v31", "<｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜>", "CALL now {}" },
        { "hermes", HermesCall, Rome },
        { "hermes", $"Two:\n{HermesCall}\n{HermesCall}\n", $"Text Two:\n\n{Rome}\n{Rome}" },
        { "hermes", HermesCall + "\n\nDone.", $"{Rome}\nText \n\nDone." },
        { "hermes", "<tool_call>{\"name\": \"say\", \"arguments\": {\"text\": \"a </tool_call> b\"}}</tool_call>", "CALL say {\"text\": \"a </tool_call> b\"}" },
        { "hermes", "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}", Rome },
        { "hermes", "<tool_call>{\"name\": \"now\"}</tool_call>", "CALL now {}" },
        { "hermes", "<tool_call>{\"name\": \"now\", \"arguments\": null}</tool_call>", "CALL now {}" },
        { "hermes", "<tool_call>{\"name\": \"now\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>", "CALL now {\"a\": 1}" },
        { "hermes", "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome}}</tool_call> " + HermesCall, $"CALL weather {{\"city\": \"Rome}}}}\n{Rome}" },
        { "hermes", "<tool_call>{\"arguments\": {\"city\": \"Rome\"}, \"name\": \"weather\"}</tool_call>", Rome },
        { "hermes", "<tool_call>{\"name\": \"weather\", arguments: {\"city\": \"Rome\"}}</tool_call>", "Text <tool_call>{\"name\": \"weather\", arguments: {\"city\": \"Rome\"}}</tool_call>" },
        { "hermes", "\n\n" + HermesCall, Rome },
        { "deepseek_v3", $"\n\n<｜tool▁calls▁begin｜>{V3Call}<｜tool▁calls▁end｜>", Rome },
        { "deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>it's \"odd\"\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜>!", "CALL it's \"odd\" {\"a\": 1}\nText !" },
        { "hermes", "<tool_call>Rome</tool_call>", "Text <tool_call>Rome</tool_call>" },
        { "hermes", "a < b, <tool_cal", "Text a < b, <tool_cal" },
        { "llama3_json", LlamaCall, Rome },
        { "llama3_json", $"<|python_tag|>{LlamaCall}; {LlamaCall}", $"{Rome}\n{Rome}" },
        { "llama3_json", " {\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n", Rome },
        { "llama3_json", "{\"answer\": 42}", "Text {\"answer\": 42}" },
        { "llama3_json", "{\"name\": \"Oscar\", \"age\": 3}", "Text {\"name\": \"Oscar\", \"age\": 3}" },
        { "llama3_json", "The call is " + LlamaCall, "Text The call is " + LlamaCall },
        { "llama3_json", "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"", "CALL weather {\"city\": \"Rome\"" },
        { "llama3_json", "<|python", "Text <|python" },
    };

    [Theory]
    [MemberData(nameof(Answers))]
    public void Calls_and_text_are_told_apart_however_the_answer_is_cut(string format, string answer, string expected)
    {
        for (var length = 1; length <= answer.Length + 1; length++)
            Assert.Equal(expected, ParsingKit.Show(ParsingKit.Parse(ParsingKit.Tools(format), answer, () => length)));
    }

    public static TheoryData<string, string, string> CutResponses => new()
    {
        // The parser returns what is known of the call.
        { "deepseek_v3", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>delete", "CALL delete" },
        { "deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```js", "CALL now" },
        { "deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{\"a\": 1", "CALL now {\"a\": 1" },
        { "deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{\"a\": 1}\n``", "CALL now {\"a\": 1}" },
        { "deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>say\n```json\n{\"a\": \"x<｜tool▁call▁end｜>y", "CALL say {\"a\": \"x<｜tool▁call▁end｜>y" },
        { "deepseek_v31", "<｜tool▁call▁begin｜>now<｜tool▁sep｜>{\"a\": [1,", "CALL now {\"a\": [1," },
        { "deepseek_v31", "<｜tool▁call▁begin｜>now<｜tool▁sep｜>", "CALL now" },
        { "hermes", "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Ro", "CALL weather {\"city\": \"Ro" },
        { "hermes", "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}", "CALL weather {\"city\": \"Rome\"}" },
        { "hermes", "<tool_call>\n{\"name\": \"wea", "CALL wea" },
        { "hermes", HermesCall + "\n<tool_call>\n{\"name\": \"now\", \"arg", Rome + "\nCALL now" },
        { "llama3_json", "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"", "CALL weather {\"city\": \"Rome\"" },
        { "llama3_json", "<|python_tag|>{\"name\": \"weat", "CALL weat" },
        // All that is known is that a call was about to begin.
        { "deepseek_v3", "One moment.<｜tool▁calls▁begin｜>", "Text One moment." },
        { "deepseek_v3", "One moment.<｜tool▁c", "Text One moment." },
        { "deepseek_v3", "1 <", "Text 1 <" },
        { "hermes", "<tool_", "" },
        { "deepseek_v3", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function", "" },
        { "deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "" },
        { "hermes", "Well:\n<tool_call>\n{\"na", "Text Well:\n" },
        { "llama3_json", "<|python_tag|>{\"na", "" },
        // This is not a call.
        { "hermes", "<tool_call>no call", "Text <tool_call>no call" },
        { "llama3_json", "{\"name\": \"Oscar\", \"age\": ", "Text {\"name\": \"Oscar\", \"age\":" },
    };

    [Theory]
    [MemberData(nameof(CutResponses))]
    public void A_cut_off_call_returns_its_known_parts_and_never_as_text(string format, string response, string expected)
    {
        for (var length = 1; length <= response.Length + 1; length++)
            Assert.Equal(expected, ParsingKit.Show(ParsingKit.Parse(ParsingKit.Tools(format), response, () => length, isCut: true)).TrimEnd(' '));
    }

    [Theory]
    [InlineData("deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{\"a\": 1}\n", false)]
    [InlineData("deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{\"a\": 1", true)]
    [InlineData("deepseek_v3", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>no", true)]
    [InlineData("deepseek_v31", "<｜tool▁call▁begin｜>now<｜tool▁sep｜>", true)]
    [InlineData("hermes", "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"}", true)]
    [InlineData("hermes", "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": 1}", false)]
    [InlineData("llama3_json", "{\"name\": \"now\", \"parameters\": {", true)]
    public void A_call_is_incomplete_where_its_arguments_are(string format, string response, bool isIncomplete) =>
        Assert.Equal(isIncomplete ? ResponsePartKind.ToolCallCut : ResponsePartKind.ToolCallEnd, ParsingKit.Parse(ParsingKit.Tools(format), response, () => 4, isCut: true)[^1].Kind);

    [Theory]
    [InlineData("deepseek_v3", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>say\n```json\n", "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "<｜tool▁call▁end｜>")]
    [InlineData("deepseek_v31", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>say<｜tool▁sep｜>", "<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "<｜tool▁call▁end｜>")]
    [InlineData("hermes", "<tool_call>\n{\"name\": \"say\", \"arguments\": ", "}\n</tool_call>", "</tool_call>")]
    [InlineData("llama3_json", "{\"name\": \"say\", \"parameters\": ", "}", "}")]
    public void A_mark_in_a_string_of_the_arguments_ends_nothing(string format, string before, string after, string mark)
    {
        string[] texts = [mark, $"a {mark}", $"{mark} b", $"{mark}{mark}", $"\\\"{mark}\\\"", $"\\\\{mark}", $"{mark}\\n```", "```", $"<tool_call>{mark}", $"{mark}<｜tool▁calls▁end｜>"];
        foreach (var arguments in texts.SelectMany(text => (string[])[$"{{\"t\": \"{text}\"}}", $"{{\"{text}\": [\"{text}\", 1], \"u\" : \"{text}\" }}"]))
        {
            var response = before + arguments + after;
            for (var length = 1; length <= response.Length + 1; length++)
            {
                var pieces = ParsingKit.Parse(ParsingKit.Tools(format), response, () => length);
                Assert.Equal(("say", arguments), Assert.Single(ParsingKit.Calls(pieces)));
                Assert.DoesNotContain(pieces, piece => piece.Kind == ResponsePartKind.Text);
            }
        }
    }

    [Theory]
    [InlineData("deepseek_v3", V3Call)]
    [InlineData("deepseek_v31", V31Call)]
    [InlineData("hermes", HermesCall)]
    [InlineData("llama3_json", LlamaCall)]
    public void Arguments_come_as_they_are_generated(string format, string call)
    {
        var parser = ParsingKit.Tools(format);
        var pieces = new List<ResponsePart>();
        var at = call.IndexOf("Rome", StringComparison.Ordinal) + 2;
        parser.Append(call.AsSpan(0, at), pieces);
        Assert.Equal(("weather", "{\"city\": \"Ro"), Assert.Single(ParsingKit.Calls(pieces)));
        parser.Append(call.AsSpan(at), pieces);
        parser.Finish(pieces);
        Assert.Equal(("weather", "{\"city\": \"Rome\"}"), Assert.Single(ParsingKit.Calls(pieces)));
    }

    [Fact]
    public void Mutated_answers_give_the_same_pieces_for_every_cut_and_lose_no_text()
    {
        var random = new Random(11);
        var whole = Answers.Select(row => row.Data).ToArray();
        for (var i = 0; i < 100_000; i++)
        {
            var (format, answer, _) = whole[random.Next(whole.Length)];
            var mutated = Mutated(answer, whole[random.Next(whole.Length)].Item2, random);
            var expected = ParsingKit.Whole(ParsingKit.Tools(format), mutated);
            var actual = ParsingKit.Parse(ParsingKit.Tools(format), mutated, () => random.Next(1, 9));
            Assert.Equal(ParsingKit.Show(expected), ParsingKit.Show(actual));

            // The response's letters and digits come back in their order: in text, names and arguments.
            if (!expected.Exists(piece => piece.Kind == ResponsePartKind.ToolCall))
                Assert.Equal(mutated, string.Concat(expected.Select(piece => piece.Value)));
        }
    }

    [Fact]
    public void Calls_are_looked_for_in_the_answer_and_never_in_a_thought()
    {
        var parser = new ResponseParser(new ReasoningParser("<think>\n"), ToolCallParser.CreateHermes());
        var pieces = ParsingKit.Parse(parser, $"I could write {HermesCall}.\n</think>\n\n{HermesCall}", () => 3);
        Assert.Equal($"Reasoning I could write {HermesCall}.\n{Rome}", ParsingKit.Show(pieces));
    }

    [Theory]
    [InlineData("deepseek_v3", V3Call)]
    [InlineData("hermes", HermesCall)]
    public void A_response_that_is_held_to_a_structure_calls_at_its_beginning_or_not_at_all(string format, string call)
    {
        var kind = ToolCallFormats.Find(format)!.Value;
        var text = $"{{\"note\": \"< <｜tool {call}\"}}";
        for (var length = 1; length <= text.Length + 1; length++)
        {
            Assert.Equal($"Text {text}", ParsingKit.Show(ParsingKit.Parse(kind.CreateParser(isTextOrCalls: true), text, () => length)));
            Assert.Equal(Rome, ParsingKit.Show(ParsingKit.Parse(kind.CreateParser(isTextOrCalls: true), "\n\n" + call, () => length)));
        }
    }

    [Fact]
    public void A_very_long_call_takes_no_more_than_its_length()
    {
        var arguments = "{\"text\": \"" + new string('x', 2_000_000) + "\"}";
        var answer = $"<tool_call>{{\"name\": \"say\", \"arguments\": {arguments}}}</tool_call>";
        Assert.Equal(("say", arguments), Assert.Single(ParsingKit.Calls(ParsingKit.Parse(ParsingKit.Tools("hermes"), answer, () => 3))));
        // A call that never ends, with marks in its strings.
        var broken = "<tool_call>{\"a\": \"" + string.Concat(Enumerable.Repeat("</tool_call><tool_call>", 20_000));
        Assert.NotEmpty(ParsingKit.Parse(ParsingKit.Tools("hermes"), broken, () => 7));
        broken = "<tool_call>{\"a\": \"" + string.Concat(Enumerable.Repeat("</tool_call><tool_call>\\\"", 20_000)) + "\"x";
        Assert.NotEmpty(ParsingKit.Parse(ParsingKit.Tools("hermes"), broken, () => 7));
    }

    [Theory]
    [InlineData("{{ '<｜tool▁call▁begin｜>' }}```json", "qwen2", ToolCallFormat.DeepSeekV3)]
    [InlineData("{{ '<｜tool▁call▁begin｜>' }}", "deepseek_v3", ToolCallFormat.DeepSeekV31)]
    [InlineData("<tool_call>", "qwen2", ToolCallFormat.Hermes)]
    [InlineData("<|start_header_id|><|eot_id|>", "llama", ToolCallFormat.Llama3Json)]
    [InlineData("<｜User｜><｜Assistant｜>", "llama", ToolCallFormat.DeepSeekV3)]
    [InlineData(null, "llama", ToolCallFormat.Llama3Json)]
    [InlineData(null, "qwen3", ToolCallFormat.Hermes)]
    internal void The_format_follows_from_the_template_before_the_kind_of_model(string? template, string modelType, ToolCallFormat expected) =>
        Assert.Equal(expected, ToolCallFormats.Detect(template, modelType));

    private static string Mutated(string answer, string other, Random random)
    {
        var text = new StringBuilder(answer);
        for (var changes = random.Next(1, 5); changes > 0; changes--)
        {
            var at = random.Next(text.Length + 1);
            switch (random.Next(5))
            {
                case 0 when at < text.Length:
                    text.Remove(at, Math.Min(random.Next(1, 6), text.Length - at));
                    break;
                case 1:
                    text.Insert(at, "{}\"\\<>｜▁\n ;"[random.Next(11)]);
                    break;
                case 2:
                    text.Insert(at, other);
                    break;
                case 3:
                    text.Length = at;
                    break;
                default:
                    text.Insert(at, answer.AsSpan(random.Next(answer.Length)));
                    break;
            }
        }

        return text.ToString();
    }
}
