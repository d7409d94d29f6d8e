namespace LocalLlm.Tool.Bench;

/// <summary>Prompts of random token ids. No two have the same beginning, so the prefix cache has no hits.</summary>
internal sealed class RandomPrompts(int vocabularySize, long seed)
{
    private readonly Random _random = new(unchecked((int)(seed ^ (seed >> 32))));

    /// <summary>The next prompts.</summary>
    public IReadOnlyList<int[]> Next(int count, int length)
    {
        var prompts = new int[count][];
        for (var i = 0; i < count; i++)
        {
            prompts[i] = new int[length];
            for (var j = 0; j < length; j++)
                prompts[i][j] = _random.Next(vocabularySize);
        }

        return prompts;
    }
}
