using System.Diagnostics;
using LocalLlm.Scheduling;

namespace LocalLlm.Bench;

/// <summary>What prompt lookup costs the engine loop when many long prompts arrive at once.</summary>
internal static class DrafterCost
{
    private const int Vocabulary = 50_000;
    private const int OutputSteps = 64;

    /// <summary>Prints the time of the steps in which all drafters learn their prompts, and of the steps after them.</summary>
    /// <param name="sequences">Prompts at once.</param>
    /// <param name="tokens">Tokens of each.</param>
    /// <param name="max">Max number of tokens that are looked up; the min is 1.</param>
    public static void Run(int sequences, int tokens, int max)
    {
        Measure(sequences: 1, 1024, max, null, prints: false);
        Console.WriteLine($"{sequences} prompts of {tokens} tokens at once, 1 to {max} tokens looked up");
        Measure(sequences, tokens, max, null, prints: true);
        Measure(sequences, tokens, max, new(), prints: true);
    }

    private static void Measure(int sequences, int tokens, int max, LearningBudget? budget, bool prints)
    {
        var random = new Random(1);
        var texts = Enumerable.Range(0, sequences).Select(_ => Enumerable.Range(0, tokens + OutputSteps).Select(_ => random.Next(Vocabulary)).ToArray()).ToArray();
        // A prompt ends with its own beginning: a drafter proposes a draft once it has learned the whole prompt.
        foreach (var text in texts)
            text.AsSpan(0, max).CopyTo(text.AsSpan(tokens - max));
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var drafters = texts.Select(_ => new NgramDrafter(1, max, 4, budget)).ToArray();
        var learning = new List<double>();
        for (var learned = 0; learned < sequences;)
        {
            learned = 0;
            learning.Add(Step(tokens, count => learned += count > 0 ? 1 : 0));
        }

        var behind = Enumerable.Range(1, OutputSteps).Select(step => Step(tokens + step, _ => { })).Order().ToArray();
        var bytes = GC.GetTotalMemory(forceFullCollection: true) - before;
        GC.KeepAlive(drafters);
        if (prints)
        {
            Console.WriteLine(
                $"{(budget is null ? "each as much as it may" : "with a budget of the step")}: {learning.Count} steps of {learning.Max():F1} ms at most, {learning.Order().ElementAt(learning.Count / 2):F1} ms in the middle, {learning.Sum():F0} ms in all; then {behind[behind.Length / 2]:F2} ms a step; {bytes / 1e6:F0} MB");
        }

        double Step(int known, Action<int> see)
        {
            var start = Stopwatch.GetTimestamp();
            budget?.Refill();
            for (var i = 0; i < drafters.Length; i++)
                see(drafters[i].Propose(texts[i].AsSpan(0, known), tokens, 4).Length);
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }
    }
}
