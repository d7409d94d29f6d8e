using LocalLlm.Grammars;
using LocalLlm.Sampling;

namespace LocalLlm.Execution;

/// <summary>What an executor stores for a sequence.</summary>
/// <param name="State">How its tokens are chosen; without the grammar if <paramref name="Failure"/> is set.</param>
/// <param name="PromptTokenIds">Its prompt, for log-probabilities of the prompt.</param>
/// <param name="Failure">Why the sequence must end at its first step, whatever is sampled for it; null: no failure.</param>
internal readonly record struct ExecutorSequence(SamplingState State, ReadOnlyMemory<int> PromptTokenIds, SequenceFailure? Failure)
{
    /// <summary>Creates the state of a new sequence.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="grammar">The compiled grammar of its sampling, or why compiling it failed.</param>
    public static ExecutorSequence Create(in NewSequence sequence, (CompiledGrammar? Grammar, SequenceFailure? Failure) grammar) => new(
        new SamplingState(sequence.Sampling, sequence.Index, sequence.Seed, sequence.PromptTokenIds.Span, grammar: grammar.Grammar),
        sequence.PromptTokenIds,
        grammar.Failure);

    /// <summary>Compiles a request's grammar. Validating the request has already compiled it, so it is usually in the cache.</summary>
    /// <param name="wanted">The grammar's source; null: any text.</param>
    /// <param name="grammars">The compiler; null without a tokenizer.</param>
    public static (CompiledGrammar? Grammar, SequenceFailure? Failure) Compile(ResponseGrammar? wanted, ResponseGrammars? grammars)
    {
        if (wanted is null)
            return default;
        if (grammars is null)
            return (null, new(EngineErrorKind.InvalidRequest, $"{wanted.Field}: the executor has no tokenizer, which a grammar needs", wanted.Field));
        try
        {
            return (grammars.Compile(wanted.Source), null);
        }
        catch (GrammarException refusal)
        {
            return (null, new(EngineErrorKind.InvalidRequest, $"{wanted.Field}: {refusal.Message}", wanted.Field));
        }
        catch (Exception)
        {
            // A failure here must not fail the step's other sequences.
            return (null, new(EngineErrorKind.GenerationFailed, $"{wanted.Field}: the grammar could not be compiled", wanted.Field));
        }
    }
}
