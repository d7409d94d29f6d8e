using LocalLlm.KvCache;
using LocalLlm.Scheduling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

/// <summary>Data-parallel groups: which one a sequence goes to, and what one group's full cache means to the others.</summary>
public class SchedulerGroupsTests
{
    private const int BlockSize = 16;

    [Fact]
    public void Sequences_go_to_the_group_with_the_fewest_held_and_pending_tokens()
    {
        var lab = new Lab(groups: 3);
        lab.Add(1, prompt: 100);
        lab.Add(2, prompt: 40);
        lab.Add(3, prompt: 40);
        lab.Add(4, prompt: 30); // beside one prompt of 40
        lab.Add(5, prompt: 10); // beside the other one
        Assert.Equal([0, 1, 2, 1, 2], lab.GroupsOfStep());
    }

    [Fact]
    public void A_prompt_goes_to_its_cached_prefix_unless_that_group_is_busier_by_as_much()
    {
        var lab = new Lab(groups: 2);
        var prompt = SchedulerLab.Prompt(1, 8 * BlockSize);
        lab.Add(new(1, prompt, maxTokens: 1));
        Assert.Equal([0], lab.GroupsOfStep());

        // Group 0 keeps the prefix. A little work there does not outweigh the hit, but much work does.
        lab.Add(2, prompt: 3 * BlockSize);
        Assert.Equal([0], lab.GroupsOfStep());
        lab.Add(new(3, [.. prompt, 1], maxTokens: 1));
        Assert.Equal([0, 0], lab.GroupsOfStep()); // the running one, and the new one
        lab.Add(new(4, SchedulerLab.Prompt(4, 3 * BlockSize), 100));
        Assert.Contains(1, lab.GroupsOfStep());
        lab.Add(new(5, SchedulerLab.Prompt(5, 12 * BlockSize), 100));
        lab.Add(new(6, SchedulerLab.Prompt(6, BlockSize), 100));
        lab.GroupsOfStep();
        Assert.True(lab.Held(0) - lab.Held(1) > 8, $"{lab.Held(0)} {lab.Held(1)}");
        lab.Add(new(7, [.. prompt, 2], maxTokens: 1));
        Assert.Equal(1, lab.GroupOf(7));
    }

    [Fact]
    public void Each_group_has_the_limits_of_a_step_for_itself()
    {
        var lab = new Lab(groups: 2, configure: options => options with { MaxNumSeqs = 2, MaxNumBatchedTokens = 32 });
        for (var id = 1; id <= 6; id++)
            lab.Add(id, prompt: 20);
        // Of 32 tokens the first prompt of a group takes 20 and the second 12.
        Assert.Equal([(0, 20), (1, 20), (0, 12), (1, 12)], lab.Entries().Select(entry => (entry.Group, entry.TokenIds.Length)));
        Assert.Equal((4, 2), (lab.Scheduler.NumRunning, lab.Scheduler.NumWaiting));
    }

    [Fact]
    public void A_preempted_sequence_waits_for_its_own_group_and_others_pass_it_there_only()
    {
        // Two sequences of a group outgrow its 4 blocks.
        var lab = new Lab(groups: 2, numBlocks: 4, configure: options => options with { ReserveFullPrompt = false, MaxModelLen = 64 });
        lab.Add(1, prompt: 16, maxTokens: 40); // group 0
        lab.Add(2, prompt: 31, maxTokens: 2); // group 1
        lab.Add(3, prompt: 17, maxTokens: 40); // group 0
        Assert.Equal([0, 1, 0], lab.GroupsOfStep());
        while (lab.Preempted.Count == 0)
            lab.GroupsOfStep();
        Assert.Equal([3L], lab.Preempted);
        Assert.Equal(1, lab.Scheduler.NumRunning); // the first alone, which holds nearly all of group 0

        lab.Add(4, prompt: 8, maxTokens: 3);
        Assert.Equal(1, lab.GroupOf(4)); // group 1 is free, though 3 waits before it
        Assert.Equal(1, lab.Scheduler.NumWaiting);
        var groups = new List<int>();
        while (lab.Scheduler.HasUnfinished)
            groups.AddRange(lab.Entries().Where(entry => entry.SequenceId == 3).Select(entry => entry.Group));
        Assert.All(groups, group => Assert.Equal(0, group));
        Assert.NotEmpty(groups);
    }

    [Fact]
    public void Figures_and_the_map_count_over_all_groups()
    {
        var lab = new Lab(groups: 2, numBlocks: 8);
        lab.Add(1, prompt: 4 * BlockSize, maxTokens: 40);
        lab.Add(2, prompt: 2 * BlockSize, maxTokens: 40);
        Assert.Equal([0, 1], lab.GroupsOfStep());
        Assert.Equal(6 / 16.0, lab.Scheduler.Stats.KvCacheUsage);
        var statistics = lab.Scheduler.Stats.ToStatistics(lab.Kvs, 0, 0);
        Assert.Equal((16, 10, 2), (statistics.KvBlocksTotal, statistics.KvBlocksFree, statistics.Running));
        Assert.Equal("9.5.", KvBlockMap.Draw(lab.Kvs, 4));
        Assert.Equal("9999....99......", KvBlockMap.Draw(lab.Kvs, 100));

        Assert.True(lab.Scheduler.Abort(1));
        Assert.True(lab.Scheduler.Abort(2));
        lab.Scheduler.ResetPrefixCache();
        Assert.Equal(new string('.', 16), KvBlockMap.Draw(lab.Kvs, 16));
    }

    // Steps by hand; sampled tokens are all 7.
    private sealed class Lab
    {
        public Lab(int groups, int numBlocks = 64, Func<SchedulerOptions, SchedulerOptions>? configure = null)
        {
            Kvs = [.. Enumerable.Range(0, groups).Select(_ => new KvCacheManager(numBlocks, BlockSize, hasher: new BlockHasher(1)))];
            var options = new SchedulerOptions { MaxModelLen = 256, MaxNumBatchedTokens = 512, MaxNumSeqs = 64 };
            Scheduler = new(configure?.Invoke(options) ?? options, Kvs, new ManualTime());
        }

        public KvCacheManager[] Kvs { get; }

        public Scheduler Scheduler { get; }

        /// <summary>Preempted ids of the latest step.</summary>
        public IReadOnlyList<long> Preempted { get; private set; } = [];

        public void Add(long id, int prompt, int maxTokens = 100) => Add(new(id, SchedulerLab.Prompt(id, prompt), maxTokens));

        public void Add(Sequence sequence) => Scheduler.Add(sequence);

        public int Held(int group) => Kvs[group].NumBlocks - Kvs[group].NumFreeBlocks;

        /// <summary>Runs a step, and returns the group of each of its sequences.</summary>
        public int[] GroupsOfStep() => [.. Entries().Select(entry => entry.Group)];

        /// <summary>Runs a step that must hold the sequence, and returns the sequence's group.</summary>
        public int GroupOf(long id) => Entries().Single(entry => entry.SequenceId == id).Group;

        public LocalLlm.Execution.ScheduledSequence[] Entries()
        {
            var output = Scheduler.Schedule();
            LocalLlm.Execution.ScheduledSequence[] entries = [.. output.Sequences];
            Preempted = [.. output.PreemptedIds];
            if (!output.IsEmpty)
                Scheduler.Update(SchedulerLab.Result(output, [.. entries.Select(entry => entry.SamplesToken ? new[] { 7 } : [])]));
            Scheduler.CheckIntegrity();
            return entries;
        }
    }
}
