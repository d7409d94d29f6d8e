using LocalLlm.Grammars;
using LocalLlm.Sampling;

namespace LocalLlm.Execution;

/// <summary>What an executor keeps of a sequence.</summary>
/// <param name="State">How its tokens are chosen; null where <paramref name="Failure"/> says why that cannot be known.</param>
/// <param name="PromptTokenIds">Its prompt, whose log-probabilities may be asked for.</param>
/// <param name="Failure">Why the sequence must end at its first step; null: it is sound.</param>
internal readonly record struct ExecutorSequence(SamplingState? State, ReadOnlyMemory<int> PromptTokenIds, SequenceFailure? Failure)
{
    /// <summary>Creates the state of a new sequence, and compiles its grammar.</summary>
    public static ExecutorSequence Create(in NewSequence sequence, ResponseGrammars? grammars)
    {
        var sampling = sequence.Sampling;
        try
        {
            var grammar = sampling.Grammar is { } wanted ? Compile(wanted.Source, grammars) : null;
            return new(new SamplingState(sampling, sequence.Index, sequence.Seed, sequence.PromptTokenIds.Span, grammar: grammar), sequence.PromptTokenIds, null);
        }
        catch (GrammarException refusal)
        {
            return new(null, sequence.PromptTokenIds, new(EngineErrorKind.InvalidRequest, $"{sampling.Grammar?.Field}: {refusal.Message}", sampling.Grammar?.Field));
        }
    }

    private static CompiledGrammar Compile(GrammarSource source, ResponseGrammars? grammars) =>
        grammars?.Compile(source) ?? throw new GrammarException("the executor has no tokenizer, which a grammar needs");
}
