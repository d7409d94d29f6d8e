using LocalLlm.Tests;
using LocalLlm.Tokenizers;
using Xunit;

namespace LocalLlm.Grammars.Tests;

/// <summary>Runs alone, because it measures the memory of the whole process.</summary>
[Collection(nameof(RunsAlone))]
public class GrammarMemoryTests
{
    [Fact]
    public void Ten_thousand_schemas_leave_no_more_memory_than_a_thousand()
    {
        var tokenizer = Tokenizer.Load(TestPaths.TinyR1);
        var trie = new TokenTrie(tokenizer.VocabularySize, id => tokenizer.IsAdded(id) ? [] : tokenizer.IdToBytes(id).ToArray());
        var compiler = new GrammarCompiler();
        var early = 0L;
        for (var i = 0; i < 10_000; i++)
        {
            var schema = $$"""{"type":"object","properties":{"name_{{i}}":{"type":"string","pattern":"^[a-z]{1,9}x{{i % 7}}$"},"n":{"type":"integer","minimum":{{i}}},"list":{"type":"array","items":{"enum":["a","{{i}}"]} } },"required":["n"]}""";
            var grammar = compiler.CompileJsonSchema(schema, trie);
            Assert.NotEqual(GrammarState.Dead, grammar.Start);
            if (i == 1_000)
                early = GC.GetTotalMemory(forceFullCollection: true);
        }

        var late = GC.GetTotalMemory(forceFullCollection: true);
        GC.KeepAlive(compiler);
        Assert.True(late - early < 16 << 20, $"{early >> 20} MiB after a thousand, {late >> 20} MiB after ten thousand");
    }
}

[CollectionDefinition(nameof(RunsAlone), DisableParallelization = true)]
public sealed class RunsAlone;
