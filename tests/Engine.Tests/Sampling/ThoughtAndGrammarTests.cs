using LocalLlm.Grammars;
using LocalLlm.Parsing;
using LocalLlm.Sampling;
using LocalLlm.Tokenizers;
using Xunit;

namespace LocalLlm.Tests.Sampling;

/// <summary>
/// A grammar behind a thought: what may stand between them, and that the model cannot end in its thought while a structure or call is owed.
/// </summary>
public class ThoughtAndGrammarTests
{
    private static readonly Tokenizer Vocabulary = Tokenizer.Load(TestPaths.TinyR1);
    private static readonly int Open = Vocabulary.TokenToId("<think>")!.Value;
    private static readonly int Close = Vocabulary.TokenToId("</think>")!.Value;
    private static readonly int Eos = Vocabulary.TokenToId("<｜end▁of▁sentence｜>")!.Value;

    private static readonly ResponseGrammars Compiler = new(new(() => Trie(_ => false)), new(() => Trie(ToolCallMarks.Tokens.Contains)));

    public static TheoryData<StructuredOutputs, string> Structures => new()
    {
        { new() { Choice = ["yes", "no"] }, "yes" },
        { new() { Regex = "[a-z]{2}" }, "ab" },
        { new() { Grammar = "root ::= \"a\"+" }, "aa" },
        { new() { JsonObject = true }, "{\"a\": 1}" },
        { new() { Json = System.Text.Json.JsonSerializer.SerializeToElement(new { type = "integer" }) }, "7" },
    };

    [Theory]
    [MemberData(nameof(Structures))]
    public void Up_to_two_line_feeds_stand_between_a_thought_and_a_structure(StructuredOutputs structure, string text)
    {
        foreach (var tools in (ToolCallStructure?[])[null, Tools(ToolCallFormat.DeepSeekV3, ToolChoice.Auto)])
        {
            var grammar = Compiler.Compile(structure, tools);
            foreach (var (blanks, isAllowed) in (ReadOnlySpan<(string, bool)>)[("", true), ("\n", true), ("\n\n", true), ("\n\n\n", false), (" ", false)])
            {
                // The prompt opened the thought, the model opened it, or the prompt closed it.
                Assert.Equal(isAllowed, Follows(Session(grammar, Ids("<｜Assistant｜><think>\n")), $"Hm.\n</think>{blanks}{text}"));
                Assert.Equal(isAllowed, Follows(Session(grammar, Ids("<｜tool▁outputs▁end｜>")), $"<think>\nHm.\n</think>{blanks}{text}"));
                Assert.Equal(isAllowed, Follows(Session(grammar, Ids("<think>\n\n</think>\n\n")), blanks + text));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Structures))]
    public void Without_a_thought_a_structure_begins_at_once(StructuredOutputs structure, string text)
    {
        var grammar = Compiler.Compile(structure, null);
        foreach (var prompt in (string[])["Text:", "<｜Assistant｜>", "<think>\n\n</think>\n\nWell, "])
        {
            Assert.True(Follows(Session(grammar, Ids(prompt)), text));
            Assert.False(Follows(Session(grammar, Ids(prompt)), "\n\n" + text));
        }
    }

    [Theory]
    [InlineData("deepseek_v3", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>")]
    [InlineData("deepseek_v31", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>")]
    [InlineData("hermes", "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>")]
    [InlineData("llama3_json", "{\"name\": \"now\", \"parameters\": {}}")]
    public void Up_to_two_line_feeds_stand_between_a_thought_and_calls_or_the_structure_beside_them(string format, string call)
    {
        var kind = ToolCallFormats.Find(format)!.Value;
        foreach (var (structure, choice) in (ReadOnlySpan<(StructuredOutputs?, ToolChoice)>)[(null, ToolChoice.Required), (new() { JsonObject = true }, ToolChoice.Auto), (null, ToolChoice.Function("now"))])
        {
            var grammar = Compiler.Compile(structure, Tools(kind, choice));
            foreach (var (blanks, isAllowed) in (ReadOnlySpan<(string, bool)>)[("", true), ("\n\n", true), ("\n\n\n", false)])
            {
                Assert.Equal(isAllowed, Follows(Session(grammar, Ids("<think>\n")), $"Hm.</think>{blanks}{call}"));
                Assert.Equal(isAllowed && structure is not null, Follows(Session(grammar, Ids("<think>\n")), $"Hm.</think>{blanks}{{\"a\": 1}}"));
            }
        }
    }

    [Theory]
    [InlineData("hermes", "<tool_call>\n{\"name\": \"now\", \"arguments\": ", "}\n</tool_call>")]
    [InlineData("llama3_json", "{\"name\": \"now\", \"parameters\": ", "}")]
    public void White_space_before_a_call_does_not_free_it_from_its_schema(string format, string before, string after)
    {
        var grammar = Compiler.Compile(null, Tools(ToolCallFormats.Find(format)!.Value, ToolChoice.Auto, isStrict: true));
        foreach (var blanks in (string[])["", "\n\n", " \t\r\n"])
        {
            Assert.True(Follows(Session(grammar, Ids("<think>\n")), $"Hm.</think>{blanks}{before}{{}}{after}"));
            Assert.False(Follows(Session(grammar, Ids("<think>\n")), $"Hm.</think>{blanks}{before}{{\"a\": 1}}{after}"));
            Assert.True(Follows(Session(grammar, Ids("<think>\n")), $"Hm.</think>{blanks}It is late."));
        }
    }

    [Fact]
    public void A_thought_cannot_end_the_output_while_a_structure_or_call_is_owed()
    {
        foreach (var grammar in (CompiledGrammar[])[Compiler.Compile(new() { Choice = ["yes"] }, null), Compiler.Compile(null, Tools(ToolCallFormat.DeepSeekV3, ToolChoice.Required))])
        {
            var session = Session(grammar, Ids("<think>\n"));
            Assert.False(Allows(session, Eos));
            Assert.True(Allows(session, Close));
            Assert.True(Allows(session, Ids("yes")[0]));
            Assert.Equal((Close, Eos), (session.ThoughtOwingText!.Value.Close, Assert.Single(session.ThoughtOwingText.Value.Ends)));
            session.Append(Close);
            Assert.Null(session.ThoughtOwingText);
        }
    }

    [Fact]
    public void A_thought_may_end_the_output_where_nothing_is_owed()
    {
        var session = Session(Compiler.Compile(new() { Regex = "a*" }, null), Ids("<think>\n"));
        Assert.True(session.Mask().IsEmpty);
        Assert.Null(session.ThoughtOwingText);
    }

    [Fact]
    public void A_model_that_wants_to_end_in_its_thought_ends_the_thought()
    {
        var grammar = Compiler.Compile(new() { Choice = ["yes"] }, null);
        var sampling = SamplingValidator.Validate(new() { Temperature = 0, StructuredOutputs = new() { Choice = ["yes"] } }, new()
        {
            VocabularySize = Vocabulary.VocabularySize,
            MaxModelLen = 100,
            PromptLength = 2,
            IsChat = true,
            EosTokenIds = [Eos],
            Thinking = new(Open, Close),
            Grammars = Compiler,
            Tokenize = (text, special) => Vocabulary.Encode(text, special),
        });
        var state = new SamplingState(sampling, 0, 0, Ids("<think>\n"), grammar: grammar);
        var logits = new float[Vocabulary.VocabularySize];
        logits[Eos] = 9;
        logits[Close] = -3;
        logits[5] = 8;
        var row = new float[logits.Length];
        LogitsProcessors.Apply(logits, row, state);
        Assert.Equal((float.NegativeInfinity, 9, 8), (row[Eos], row[Close], row[5]));
        Assert.Equal(grammar.MaskWords, state.AllowedMask.Length);
    }

    private static TokenTrie Trie(Func<string, bool> isText) =>
        new(Vocabulary.VocabularySize, id => Vocabulary.IsAdded(id) && !isText(Vocabulary.Decode([id])) ? [] : Vocabulary.IdToBytes(id).ToArray());

    private static ToolCallStructure Tools(ToolCallFormat format, ToolChoice choice, bool isStrict = false) =>
        new(format, System.Text.Json.JsonSerializer.SerializeToElement(new[] { new { type = "function", function = new { name = "now", strict = isStrict } } }), choice);

    private static GrammarSession Session(CompiledGrammar grammar, int[] prompt) => new(grammar, [Eos], new(Open, Close), isChat: true, prompt);

    private static int[] Ids(string text) => Vocabulary.Encode(text, addSpecialTokens: false);

    // Whether the grammar allows every token of a text in its turn, and the end after it.
    private static bool Follows(GrammarSession session, string text)
    {
        foreach (var id in Ids(text))
        {
            if (!Allows(session, id))
                return false;
            session.Append(id);
        }

        return Allows(session, Eos);
    }

    private static bool Allows(GrammarSession session, int id) => session.Mask() is { IsEmpty: true } || (session.Mask().Span[id / 32] >> (id % 32) & 1) != 0;
}
