using System.Numerics;
using System.Security.Cryptography;

namespace LocalLlm.Scheduling;

/// <summary>
/// Prompt look-up (Saxena, "Prompt Lookup Decoding", 2023; vLLM's method <c>ngram</c>). Finds the longest run of last tokens that occurred
/// before; the tokens after its latest occurrence are the draft. A draft that reaches the end of the text continues with its own
/// beginning, as copies in LZ77 do, so that it can cover a repeating loop.
/// </summary>
/// <remarks>
/// There is one index for each run length, and each token is added to it once, so a call costs time for new tokens only. The drafter runs
/// on the engine loop's thread. One call therefore learns at most <see cref="MaxLearnedRuns"/>, and all calls of a step at most their
/// <see cref="LearningBudget"/>. A long prompt takes several steps, and the drafter drafts nothing before it has learned all of the text.
/// It compares its guess with every output token, drafted or not, so that <see cref="DraftPace"/> knows at no cost whether drafting would
/// pay again.
/// </remarks>
/// <param name="min">Min number of last tokens to look up, at least 1.</param>
/// <param name="max">Max number of last tokens to look up, at least <paramref name="min"/>.</param>
/// <param name="maxDrafts">Max number of tokens of a draft.</param>
/// <param name="budget">What all drafters together may learn in a step; null: only the limit of a call applies.</param>
internal sealed class NgramDrafter(int min, int max, int maxDrafts, LearningBudget? budget = null) : IDrafter
{
    /// <summary>Max number of runs that one call adds to the indexes (one of each length for a token): about a millisecond.</summary>
    internal const int MaxLearnedRuns = 16_384;

    // A random key: no client can send a text whose hashes collide.
    private static readonly uint Key = BitConverter.ToUInt32(RandomNumberGenerator.GetBytes(sizeof(uint)));

    private readonly NgramIndex[] _indexes = [.. Enumerable.Range(min, max - min + 1).Select(length => new NgramIndex(length))];
    private readonly DraftPace _pace = new();
    private readonly uint[] _hashes = new uint[max];
    private readonly int[] _drafts = new int[maxDrafts];
    private int _numSeen;
    private int _match; // position of the guess for token _numSeen; 0: no guess

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

    // Takes the token at _numSeen: judges its guess, adds the runs before it to the indexes, and guesses the next token.
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

        // In a prompt, only the token after its end is worth a guess.
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

    // Hashes the last 1, 2, … tokens before a position.
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
