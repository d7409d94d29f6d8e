using LocalLlm.Scheduling;

namespace LocalLlm.Tests.Scheduling;

/// <summary>Random sequences with shared prefixes.</summary>
internal static class Workload
{
    private static readonly string?[] Salts = [null, null, "a", "b"];

    /// <summary>Sequences whose prompts begin with one of a few common prefixes.</summary>
    public static IEnumerable<Sequence> Random(
        int seed, int count, int maxPrompt, int maxOutput, int vocabulary = 2, bool salts = false, bool promptLogits = false)
    {
        var random = new Random(seed);
        var beginnings = Enumerable.Range(0, 4).Select(_ => Tokens(random, maxPrompt, vocabulary)).ToArray();
        for (var id = 1; id <= count; id++)
        {
            var length = random.Next(1, maxPrompt + 1);
            var shared = random.Next(length + 1);
            int[] prompt = [.. beginnings[random.Next(4)][..shared], .. Tokens(random, length - shared, vocabulary)];
            yield return new Sequence(id, prompt, random.Next(1, maxOutput + 1), salts ? Salts[random.Next(4)] : null)
            {
                Priority = random.Next(-2, 3),
                NeedsPromptLogits = promptLogits && random.Next(8) == 0,
                SkipReadingPrefixCache = random.Next(16) == 0,
            };
        }
    }

    public static int[] Tokens(Random random, int count, int vocabulary)
    {
        var tokens = new int[count];
        for (var i = 0; i < count; i++)
            tokens[i] = random.Next(vocabulary);
        return tokens;
    }
}
