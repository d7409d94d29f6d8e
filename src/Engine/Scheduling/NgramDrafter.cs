using System.Numerics;
using System.Security.Cryptography;

namespace LocalLlm.Scheduling;

/// <summary>
/// Prompt look-up (Saxena, "Prompt Lookup Decoding", 2023; vLLM's method <c>ngram</c>): the longest run of last tokens that occurred before
/// is looked up, where it occurred last, and what followed it there is the draft. A draft that reaches the end of the text goes on with its
/// own beginning, as copies in LZ77 do, so that loops are drafted whole.
/// </summary>
/// <remarks>
/// Every length has an index of its own, to which each token is added once: a call costs time for the new tokens, not for the text. It runs
/// on the engine loop's thread, so one call learns no more than <see cref="MaxLearnedRuns"/> allow, and those of one step no more than
/// their <see cref="LearningBudget"/>; a long prompt takes several, and nothing is drafted before all of the text is learned. The guess is
/// compared with every token of the output, drafted or not, so that <see cref="DraftPace"/> knows at no cost whether drafting would pay
/// again.
/// </remarks>
/// <param name="min">Fewest last tokens, at least 1.</param>
/// <param name="max">Most last tokens, at least <paramref name="min"/>.</param>
/// <param name="maxDrafts">Max number of tokens of a draft.</param>
/// <param name="budget">What all drafters may learn in a step; null: any number of them as much as a call may.</param>
internal sealed class NgramDrafter(int min, int max, int maxDrafts, LearningBudget? budget = null) : IDrafter
{
    /// <summary>Max number of runs that one call adds to the indexes, one of each length for a token: about a millisecond.</summary>
    internal const int MaxLearnedRuns = 16_384;

    // Nobody can send a text whose hashes collide.
    private static readonly uint Key = BitConverter.ToUInt32(RandomNumberGenerator.GetBytes(sizeof(uint)));

    private readonly NgramIndex[] _indexes = [.. Enumerable.Range(min, max - min + 1).Select(length => new NgramIndex(length))];
    private readonly DraftPace _pace = new();
    private readonly uint[] _hashes = new uint[max];
    private readonly int[] _drafts = new int[maxDrafts];
    private int _numSeen;
    private int _match; // where the guess of token _numSeen stands; 0: there is none

    /// <inheritdoc/>
    public ReadOnlySpan<int> Propose(ReadOnlySpan<int> tokens, int numPromptTokens, int max)
    {
        var learned = int.Min(tokens.Length - _numSeen, int.Max(1, MaxLearnedRuns / _indexes.Length));
        var end = _numSeen + (budget?.Take(learned, _indexes.Length, min: maxDrafts + 1) ?? learned);
        for (; _numSeen < end; _numSeen++)
            Learn(tokens, numPromptTokens);
        if (_match == 0 || _numSeen < tokens.Length)
            return [];
        var count = int.Min(int.Min(max, _drafts.Length), _pace.Length);
        for (var i = 0; i < count; i++)
            _drafts[i] = _match + i < tokens.Length ? tokens[_match + i] : _drafts[_match + i - tokens.Length];
        return _drafts.AsSpan(0, int.Max(0, count));
    }

    // The token at _numSeen is known: judges its guess, adds the runs before it to the indexes, and guesses the next.
    private void Learn(ReadOnlySpan<int> tokens, int numPromptTokens)
    {
        var isOutput = _numSeen >= numPromptTokens;
        if (isOutput && _match > 0)
            _pace.Observe(tokens[_match] == tokens[_numSeen]);
        Hash(tokens, _numSeen);
        foreach (var index in _indexes)
        {
            if (index.Length <= _numSeen)
                index.Set(tokens, _numSeen, _hashes[index.Length - 1]);
        }

        // Of a prompt, only what follows its end is guessed.
        _match = _numSeen + 1 >= numPromptTokens ? Find(tokens, _numSeen + 1) : 0;
    }

    private int Find(ReadOnlySpan<int> tokens, int end)
    {
        Hash(tokens, end);
        for (var i = _indexes.Length - 1; i >= 0; i--)
        {
            if (_indexes[i].Length <= end && _indexes[i].Find(tokens, end, _hashes[_indexes[i].Length - 1]) is > 0 and var found)
                return found;
        }

        return 0;
    }

    // Of the last 1, 2, … tokens before a position.
    private void Hash(ReadOnlySpan<int> tokens, int end)
    {
        var hash = Key;
        for (var i = 0; i < _hashes.Length && i < end; i++)
        {
            hash = BitOperations.RotateLeft((hash ^ (uint)tokens[end - 1 - i]) * 0x9E3779B1u, 15) * 0x85EBCA77u;
            _hashes[i] = hash;
        }
    }
}
