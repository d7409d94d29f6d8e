using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using LocalLlm.Tests;
using LocalLlm.Tokenizers;
using Xunit;

namespace LocalLlm.Grammars.Tests;

public class GrammarTests
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };
    private static readonly JsonSerializerOptions Compact = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static TheoryData<string> Patterns => new()
    {
        "abc", "a|bc|", "(a|b)*c?", "[a-c]{2,4}", "a{3}", "(?:ab){0,2}", "x+y*?z", "[^ab]", "\\d{1,3}(\\.\\d{1,3}){3}", "\\w+@\\w+\\.(com|org)", "^-?(0|[1-9]\\d*)$", ".{0,3}", "[\\]a\\-z]+", "(a(b(c)?)?)?",
        "\\x41\\u00e9", "(?<year>\\d{4})-(0[1-9]|1[0-2])", "[äöü€😀]+", "\\S\\s\\D", "(|a)b",
    };

    [Theory]
    [MemberData(nameof(Patterns))]
    public void A_pattern_allows_what_a_regular_expression_matches_as_a_whole(string pattern)
    {
        var automaton = Automaton(nodes => RegexGrammar.Parse(nodes, pattern));
        // ECMAScript restricts \d, \w and \s to ASCII, as the grammar does, but accepts only ASCII classes.
        var regex = new Regex($"^(?:{pattern})\\z", pattern.Any(character => character > 127) || pattern.Contains('<', StringComparison.Ordinal) ? RegexOptions.CultureInvariant : RegexOptions.ECMAScript);
        var random = new Random(pattern.Length);
        const string alphabet = "abcxyz01239.-@ _ABé€😀\n]/";
        var runes = alphabet.EnumerateRunes().ToArray();
        var (allowed, forbidden) = (0, 0);
        for (var i = 0; i < 4000; i++)
        {
            var text = string.Concat(Enumerable.Range(0, random.Next(7)).Select(_ => runes[random.Next(runes.Length)].ToString()));
            // A rune outside the basic plane is one character in the grammar and two in .NET's regular expressions.
            if (text.Contains("😀", StringComparison.Ordinal) && pattern.AsSpan().IndexOfAny(".^SD") >= 0)
                continue;
            var expected = regex.IsMatch(text);
            Assert.True(expected == Accepts(automaton, text), $"'{text}' with {pattern}: expected {expected}");
            (allowed, forbidden) = expected ? (allowed + 1, forbidden) : (allowed, forbidden + 1);
        }

        Assert.True(forbidden > 0);
    }

    [Theory]
    [InlineData("root ::= \"a\" | 'b' item+\nitem ::= [0-9] # a note\n  \"!\"?", "a", "b1", "b1!2", "!b", "!a1", "!")]
    [InlineData("root ::= \"(\" root? \")\"", "()", "((()))", "!(()", "!)(")]
    [InlineData("root ::= x{2,3} .\nx ::= [^a-c\\n]", "xyz", "xyzü", "!xy", "!axy", "!xyzwv")]
    [InlineData("# note\nroot ::= \"\\x41\\u00e9\\U0001F600\\\"\" | other-rule_2\nother-rule_2 ::= (\"\\t\" | \"\\\\\")*", "Aé😀\"", "\t\\", "", "!A")]
    [InlineData("root ::= item (\",\" ws item)*\nitem ::= [a-z]+\nws ::= \" \"*", "ab,c,  d", "!ab,", "!")]
    [InlineData("root ::= a{2} a{1,}\na ::= \"a\"", "aaa", "aaaa", "!aa")]
    public void Rules_in_ebnf_allow_the_texts_of_root(string rules, params string[] texts)
    {
        var automaton = Automaton(nodes => EbnfGrammar.Parse(nodes, rules));
        foreach (var text in texts)
            Assert.True(!text.StartsWith('!') == Accepts(automaton, text.TrimStart('!')), text);
    }

    [Theory]
    [InlineData("item ::= \"a\"", "no rule 'root'")]
    [InlineData("root ::= other", "'other', which is not defined")]
    [InlineData("root ::= \"a\" root", "'root' never ends")]
    [InlineData("root ::= root \"a\" | \"a\"", "begins with itself")]
    [InlineData("root ::= x\nx ::= \" \"* y\ny ::= \"\"? x \"a\" | \"b\"", "begins with itself")]
    [InlineData("root ::= \"a", "line 1")]
    [InlineData("root ::= \"a\"\n\nroot ::= (\"b\"", "')' is missing")]
    [InlineData("root ::= \"a\"\nroot ::= \"b\"", "defined twice")]
    [InlineData("root ::= [a", "']' is missing")]
    [InlineData("root ::= \"a\"{3,1}", "{2,5}")]
    [InlineData("root ::= \"\\q\"", "\\q")]
    [InlineData("root ::= \"a\" )", "line 1")]
    [InlineData("root ::= \"a\"**", "a quantifier follows a quantifier")]
    [InlineData("start: \"a\"", "name ::=")]
    [InlineData("", "no rule 'root'")]
    public void Rules_in_ebnf_that_mean_nothing_are_refused_with_the_reason(string rules, string reason) =>
        Assert.Contains(reason, Assert.ThrowsAny<GrammarException>(() => Automaton(nodes => EbnfGrammar.Parse(nodes, rules))).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("(a", "')' is missing")]
    [InlineData("a)", "unexpected ')'")]
    [InlineData("[a", "']' is missing")]
    [InlineData("*a", "nothing to repeat")]
    [InlineData("a\\", "backslash")]
    [InlineData("(?=a)b", "look-around")]
    [InlineData("(a)\\1", "\\1")]
    [InlineData("\\bword", "\\b")]
    [InlineData("a^b", "never match")]
    [InlineData("(^a)+", "cannot be repeated")]
    [InlineData("a{3,1}", "wrong way round")]
    [InlineData("a{99999}", "repetitions")]
    [InlineData("((a{1000}){1000}){1000}", "nodes")]
    [InlineData("[z-a]", "wrong way round")]
    [InlineData("a++", "possessive")]
    public void A_pattern_that_cannot_be_enforced_is_refused_with_the_reason(string pattern, string reason) =>
        Assert.Contains(reason, Assert.Throws<GrammarException>(() => Automaton(nodes => RegexGrammar.Parse(nodes, pattern))).Message, StringComparison.Ordinal);

    [Fact]
    public void Ranges_of_code_points_are_exact()
    {
        var random = new Random(3);
        for (var i = 0; i < 60; i++)
        {
            var (a, b) = (random.Next(0x110000), random.Next(0x110000));
            var (first, last) = i % 3 == 0 ? (a % 0x900, (a % 0x900) + (b % 0x900)) : (Math.Min(a, b), Math.Max(a, b));
            var automaton = Automaton(nodes => Utf8Ranges.Add(nodes, [(first, last)]));
            foreach (var point in new[] { first - 1, first, first + 1, (first + last) / 2, last - 1, last, last + 1, 0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF, random.Next(0x110000) })
            {
                if (Rune.IsValid(point))
                    Assert.True((point >= first && point <= last) == Accepts(automaton, new Rune(point).ToString()), $"U+{point:X} in U+{first:X} to U+{last:X}");
            }
        }
    }

    [Fact]
    public void Json_is_what_a_parser_takes()
    {
        var automaton = Automaton(nodes => new JsonGrammar(nodes).Value());
        var random = new Random(9);
        var (good, bad) = (0, 0);
        for (var i = 0; i < 4000; i++)
        {
            var text = JsonSerializer.Serialize(RandomValue(random, 4), i % 3 == 0 ? Indented : Compact).ReplaceLineEndings("\n");
            Assert.True(Accepts(automaton, text), text);
            var mutated = new StringBuilder(text);
            var at = random.Next(mutated.Length);
            mutated[at] = "{}[]\":,0-.eEx\\tn"[random.Next(16)];
            // Half of a surrogate pair is JSON, but not text.
            if (mutated.ToString().Contains("\\uD", StringComparison.OrdinalIgnoreCase))
                continue;
            var isJson = IsJson(mutated.ToString());
            Assert.True(isJson == Accepts(automaton, mutated.ToString()), $"{mutated}: {isJson}");
            (good, bad) = isJson ? (good + 1, bad) : (good, bad + 1);
        }

        Assert.True(good > 100 && bad > 100, $"{good} good, {bad} bad");
    }

    [Fact]
    public void A_mask_has_exactly_the_tokens_that_lead_on()
    {
        var tokenizer = Tokenizer.Load(TestPaths.TinyR1);
        var trie = new TokenTrie(tokenizer.VocabularySize, id => tokenizer.IsAdded(id) ? [] : tokenizer.IdToBytes(id).ToArray());
        foreach (var pattern in new[] { "(the|a) (wolf|fox)[.!]", "\\d+ \\+ \\d+ = \\d+", "[\\u4e00-\\u9fff]{2,}", ".*" })
        {
            var automaton = Automaton(nodes => RegexGrammar.Parse(nodes, pattern));
            var grammar = new CompiledGrammar(automaton, trie, GrammarLimits.Default);
            var (state, random) = (grammar.Start, new Random(1));
            for (var step = 0; step < 12 && state != GrammarState.Dead; step++)
            {
                var credit = long.MaxValue;
                var mask = grammar.Mask(ref state, ref credit).ToArray();
                var allowed = Enumerable.Range(0, tokenizer.VocabularySize).Where(id => (mask[id / 32] >> (id % 32) & 1) != 0).ToArray();
                Assert.Equal(Enumerable.Range(0, tokenizer.VocabularySize).Where(id => grammar.Next(state, id) != GrammarState.Dead), allowed);
                if (allowed.Length == 0)
                    break;
                state = grammar.Next(state, allowed[random.Next(allowed.Length)]);
            }
        }
    }

    [Fact]
    public void Nesting_has_a_limit_at_which_only_the_way_back_is_left()
    {
        var automaton = Automaton(nodes => new JsonGrammar(nodes).Value());
        Assert.False(Accepts(automaton, new string('[', 100_000)));
        Assert.True(Accepts(automaton, new string('[', 250) + new string(']', 250)));
    }

    [Fact]
    public void An_automaton_rebuilds_evicted_states_identically()
    {
        var limits = GrammarLimits.Default with { MaxBytes = 200_000 };
        var nodes = new GrammarNodes(limits);
        var automaton = new ByteAutomaton(nodes, nodes.Finish(new JsonGrammar(nodes).Value()), limits);
        var random = new Random(4);
        var most = 0;
        for (var i = 0; i < 1000; i++)
        {
            var text = JsonSerializer.Serialize(Value(random, 5));
            var state = automaton.Start;
            foreach (var value in Encoding.UTF8.GetBytes(text))
                state = automaton.Renewed(automaton.Next(state, value));
            Assert.True(state.IsAccepting, text);
            most = Math.Max(most, automaton.StateCount);
        }

        Assert.InRange(most, 10, 200);

        static object? Value(Random random, int depth) => random.Next(depth > 0 ? 6 : 4) switch
        {
            0 => random.NextDouble(),
            1 => null,
            2 => "text \u0007 \"é\"",
            3 => random.Next(2) == 0,
            4 => Enumerable.Range(0, random.Next(4)).Select(_ => Value(random, depth - 1)).ToArray(),
            _ => Enumerable.Range(0, random.Next(4)).ToDictionary(i => $"k{i}", _ => Value(random, depth - 1)),
        };
    }

    [Theory]
    [InlineData("(.?){1200}")]
    [InlineData("(a|b)*a(a|b){5000}")]
    [InlineData("(((a*)*)*b?){3000}")]
    public void A_pattern_that_is_much_work_is_refused_or_goes_on_with_bounded_work_for_each_token(string pattern)
    {
        var tokenizer = Tokenizer.Load(TestPaths.TinyR1);
        var trie = new TokenTrie(tokenizer.VocabularySize, id => tokenizer.IsAdded(id) ? [] : tokenizer.IdToBytes(id).ToArray());
        var limits = GrammarLimits.Default with { MaxWork = 2_000_000, MaxCredit = 2_000_000, WorkPerToken = 1000 };
        CompiledGrammar grammar;
        ByteAutomaton automaton;
        try
        {
            automaton = Automaton(nodes => RegexGrammar.Parse(nodes, pattern));
            grammar = new(automaton, trie, limits);
        }
        catch (GrammarException)
        {
            return;
        }

        const int Tokens = 200;
        const int MaxReserves = 30;
        var matcher = new GrammarMatcher(grammar, []);
        var mask = new uint[grammar.MaskWords];
        var before = automaton.Work;
        for (var i = 0; i < Tokens; i++)
        {
            matcher.FillNextTokenBitmask(mask);
            Assert.True(matcher.TryAccept(Enumerable.Range(0, tokenizer.VocabularySize).First(id => (mask[id / 32] >> (id % 32) & 1) != 0)));
        }

        Assert.Null(matcher.Failure);
        Assert.True(automaton.Work - before < limits.MaxCredit + (Tokens * MaxReserves * limits.MinWork));
    }

    [Fact]
    public void An_automaton_is_unharmed_by_a_step_that_was_too_much_work()
    {
        var automaton = Automaton(nodes => new JsonGrammar(nodes).Value());
        var fresh = Automaton(nodes => new JsonGrammar(nodes).Value());
        var credit = 1L;
        Assert.Throws<GrammarWorkException>(() => automaton.Limited(ref credit, () => Accepts(automaton, "[1,{\"a\":2}]")));
        foreach (var text in new[] { "[1,{\"a\":2}]", "[1,{\"a\":\"\n\"}]", "[1,", "{\"a\":[{}]}" })
            Assert.Equal(Accepts(fresh, text), Accepts(automaton, text));
    }

    [Theory]
    [InlineData("a{2}{3}")]
    [InlineData("{3}")]
    [InlineData("a{,3}")]
    [InlineData("a**")]
    [InlineData("\\x{000000000000041}")]
    public void Forms_that_dialects_read_differently_are_refused(string pattern) =>
        Assert.Throws<GrammarException>(() => Automaton(nodes => RegexGrammar.Parse(nodes, pattern)));

    [Fact]
    public void A_repeated_class_is_read_once()
    {
        // 90,000 copies of a class of 30,000 characters.
        var pattern = $"([{new string('a', 30_000)}]{{100}}){{900}}";
        Assert.True(Accepts(Automaton(nodes => RegexGrammar.Parse(nodes, pattern)), new string('a', 90_000)));
    }

    private static ByteAutomaton Automaton(Func<GrammarNodes, Fragment> make)
    {
        var nodes = new GrammarNodes(GrammarLimits.Default);
        return new(nodes, nodes.Finish(make(nodes)), GrammarLimits.Default);
    }

    private static bool Accepts(ByteAutomaton automaton, string text)
    {
        var state = automaton.Start;
        foreach (var value in Encoding.UTF8.GetBytes(text))
        {
            state = automaton.Next(state, value);
            if (state == GrammarState.Dead)
                return false;
        }

        return state.IsAccepting;
    }

    private static bool IsJson(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static object? RandomValue(Random random, int depth) => random.Next(depth > 0 ? 8 : 6) switch
    {
        0 => null,
        1 => random.Next(2) == 0,
        2 => random.Next(-1000, 1000),
        3 => random.NextDouble() * Math.Pow(10, random.Next(-20, 20)),
        4 => "text \"quoted\" \\ ü 😀\n",
        5 => new string((char)random.Next(32, 0x500), random.Next(4)),
        6 => Enumerable.Range(0, random.Next(4)).Select(_ => RandomValue(random, depth - 1)).ToArray(),
        _ => Enumerable.Range(0, random.Next(4)).ToDictionary(i => $"key{i}", _ => RandomValue(random, depth - 1)),
    };
}
