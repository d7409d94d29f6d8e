using LocalLlm.Scheduling;
using LocalLlm.Tests.KvCache;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

public class NgramDrafterTests
{
    [Fact]
    public void What_followed_the_last_tokens_before_is_the_draft() =>
        Assert.Equal([4, 5], Fresh([1, 2, 3, 4, 5, 9, 2, 3], min: 2, max: 2));

    [Fact]
    public void The_longest_run_wins_over_a_later_one() =>
        Assert.Equal([7, 8], Fresh([1, 2, 3, 7, 8, 0, 3, 9, 9, 1, 2, 3], min: 1, max: 3));

    [Fact]
    public void Of_equal_runs_the_latest_wins() =>
        Assert.Equal([6, 0], Fresh([2, 3, 5, 0, 2, 3, 6, 0, 2, 3], min: 1, max: 2));

    [Fact]
    public void A_loop_is_drafted_past_the_end_of_the_text() =>
        Assert.Equal([2, 1, 2, 1], Fresh([1, 2, 1, 2, 1], min: 2, max: 2, drafts: 4, hits: 12));

    [Theory]
    [InlineData(3, 3)] // the run of 3 is new
    [InlineData(9, 9)] // the text is shorter
    public void Without_a_run_of_the_minimum_length_nothing_is_drafted(int min, int max) =>
        Assert.Empty(Fresh([1, 2, 3, 4, 9, 2, 3], min, max));

    [Fact]
    public void No_more_is_drafted_than_is_asked_for()
    {
        var drafter = new NgramDrafter(1, 1, 8);
        int[] tokens = [1, 2, 3, 1];
        Assert.Equal([2], drafter.Propose(tokens, 4, 1).ToArray());
        Assert.Empty(drafter.Propose(tokens, 4, 0).ToArray());
        Assert.Equal([2, 3], drafter.Propose(tokens, 4, 8).ToArray());
    }

    // Each prompt alone is as long as one call may learn, and one step may learn four of them.
    [Fact]
    public void Long_prompts_that_come_at_once_are_learned_over_several_steps_and_new_tokens_at_once()
    {
        var budget = new LearningBudget();
        var drafters = Enumerable.Range(0, 10).Select(_ => new NgramDrafter(1, 1, 4, budget)).ToArray();
        int[] prompt = [.. Enumerable.Range(100, NgramDrafter.MaxLearnedRuns - 1), 100];
        int[] later = [.. prompt, 101, 102];
        Assert.Equal([true, true, true, true, false, false, false, false, false, false], Drafted(prompt));
        // The first four learn only their new tokens, which costs next to nothing.
        budget.Refill();
        Assert.Equal([true, true, true, true, true, true, true, true, false, false], Drafted(later));
        budget.Refill();
        Assert.Equal([true, true, true, true, true, true, true, true, true, true], Drafted(later));

        bool[] Drafted(int[] tokens) => [.. drafters.Select(drafter => !drafter.Propose(tokens, prompt.Length, 4).IsEmpty)];
    }

    [Theory]
    [InlineData(5, 5)]
    [InlineData(1, 32)]
    public void A_long_prompt_is_learned_over_several_calls_and_drafts_come_after_them(int min, int max)
    {
        var drafter = new NgramDrafter(min, max, 4);
        var perCall = NgramDrafter.MaxLearnedRuns / (max - min + 1);
        int[] tokens = [.. Enumerable.Range(100, (3 * perCall) - 5), 100, 101, 102, 103, 104];
        Assert.Empty(drafter.Propose(tokens, tokens.Length, 4).ToArray());
        Assert.Empty(drafter.Propose(tokens, tokens.Length, 4).ToArray());
        Assert.Equal([105, 106], drafter.Propose(tokens, tokens.Length, 4).ToArray());
    }

    [Fact]
    public void A_sequence_whose_guesses_are_wrong_is_left_alone_until_they_are_right()
    {
        var drafter = new NgramDrafter(1, 1, 4);
        var tokens = new List<int> { 1 };
        // 1, 2, 1, 3, 1, 4, ...: what followed the 1 before is never what follows it now.
        for (var next = 2; next < 20; next++)
            tokens.AddRange([next, 1]);
        var drafts = 0;
        for (var known = 1; known <= tokens.Count; known++)
            drafts += drafter.Propose(tokens[..known].ToArray(), 1, 4).Length;
        Assert.InRange(drafts, 1, 6);
        Assert.Empty(drafter.Propose(tokens.ToArray(), 1, 4).ToArray());

        // Now the text repeats itself, which the drafter learns without computed drafts.
        for (var i = 0; i < 6; i++)
        {
            tokens.Add(7);
            drafter.Propose(tokens.ToArray(), 1, 4);
        }

        Assert.Equal([7, 7, 7], drafter.Propose(tokens.ToArray(), 1, 4).ToArray()[..3]);
    }

    /// <summary>Compares drafts with the definition, in texts that come a few tokens at a time.</summary>
    [Fact]
    public void The_indexes_find_what_a_search_of_the_whole_text_finds()
    {
        var found = 0;
        for (var seed = 0; seed < Fuzz.Times(40); seed++)
        {
            var random = new Random(seed);
            var (min, vocabulary) = (random.Next(1, 4), random.Next(2, 30));
            var max = min + random.Next(4);
            var tokens = Workload.Tokens(random, 500, vocabulary);
            var drafter = new NgramDrafter(min, max, 5);
            var prompt = random.Next(1, 200);
            for (var known = prompt; known <= tokens.Length; known += random.Next(1, 4))
            {
                var drafts = drafter.Propose(tokens.AsSpan(0, known), prompt, 5);
                var expected = Search(tokens.AsSpan(0, known), min, max, drafts.Length);
                Assert.Equal(expected, drafts.ToArray());
                found += drafts.Length > 0 ? 1 : 0;
            }

            // A drafter that has not judged any guesses yet drafts wherever it finds a run.
            Assert.Equal(Search(tokens, min, max, 2), new NgramDrafter(min, max, 5).Propose(tokens, tokens.Length, 5).ToArray());
        }

        Assert.True(found > 500, $"only {found} drafts");
    }

    private static int[] Search(ReadOnlySpan<int> tokens, int min, int max, int count)
    {
        for (var length = Math.Min(max, tokens.Length - 1); length >= min; length--)
        {
            var start = tokens[..^1].LastIndexOf(tokens[^length..]);
            if (start < 0)
                continue;
            var text = tokens.ToArray().ToList();
            for (var i = 0; i < count; i++)
                text.Add(text[start + length + i]);
            return [.. text.TakeLast(count)];
        }

        return [];
    }

    // What a new drafter proposes when it sees the text at once. hits: how many right guesses come before, in a loop of one token.
    private static int[] Fresh(int[] tokens, int min, int max, int drafts = 2, int hits = 0)
    {
        var drafter = new NgramDrafter(min, max, drafts);
        int[] all = [.. Enumerable.Repeat(99, min + 1 + hits), .. tokens];
        drafter.Propose(all.AsSpan(0, min + 1 + hits), min + 1, drafts);
        return drafter.Propose(all, hits == 0 ? all.Length : min + 1, drafts).ToArray();
    }
}
