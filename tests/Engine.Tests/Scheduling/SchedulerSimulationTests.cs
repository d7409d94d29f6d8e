using LocalLlm.Scheduling;
using LocalLlm.Tests.KvCache;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

public class SchedulerSimulationTests
{
    /// <summary>Everything at random: pool, budget, chunks, policy, depth, prefix cache, aborts and failures.</summary>
    [Theory]
    [InlineData(0, false)]
    [InlineData(1000, true)]
    public void Outputs_are_those_of_running_alone_whatever_happens_around(int firstSeed, bool disturbed)
    {
        var seeds = Fuzz.Times(60);
        for (var seed = firstSeed; seed < firstSeed + seeds; seed++)
        {
            var random = new Random(seed);
            var simulation = new Simulation(RandomSetup(random, disturbed), seed);
            try
            {
                simulation.Run(
                    Workload.Random(seed, 40, random.Next(1, 120), random.Next(1, 60), salts: true, promptLogits: true),
                    perStep: random.Next(3) switch { 0 => 0.3, 1 => 3, _ => double.PositiveInfinity });
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}, disturbed {disturbed}: {e.Message}", e);
            }
        }
    }

    [Fact]
    public void Aborts_at_any_moment_leak_no_block_and_change_no_other_output()
    {
        var aborts = 0;
        for (var seed = 0; aborts < 1000; seed++)
        {
            var simulation = new Simulation(
                new SimulationSetup
                {
                    Options = new SchedulerOptions
                    {
                        MaxModelLen = 200,
                        MaxNumBatchedTokens = 64,
                        MaxNumSeqs = 16,
                        ReserveFullPrompt = seed % 2 == 0,
                    },
                    NumBlocks = 40,
                    StepsInFlight = 1 + (seed % 3),
                    Abort = 0.1,
                },
                seed);
            simulation.Run(Workload.Random(seed, count: 60, maxPrompt: 120, maxOutput: 60, salts: true), perStep: 1);
            aborts += simulation.NumAborts;
        }
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(1000, true)]
    public void A_step_may_stand_on_tokens_that_the_one_before_it_still_samples(int firstSeed, bool disturbed)
    {
        var unknown = 0;
        for (var seed = firstSeed; seed < firstSeed + Fuzz.Times(60); seed++)
        {
            var random = new Random(seed);
            var simulation = new Simulation(RandomSetup(random, disturbed) with { StepsInFlight = 2, RunAhead = true }, seed);
            simulation.Run(Workload.Random(seed, 40, random.Next(1, 120), random.Next(1, 60), salts: true, promptLogits: true), perStep: 3);
            unknown += simulation.NumUnknownTokens;
        }

        Assert.True(unknown > 1000, $"only {unknown} tokens were taken before they were known");
    }

    [Theory]
    [InlineData(0, false, 2)]
    [InlineData(1000, true, 2)]
    [InlineData(2000, true, 3)]
    [InlineData(3000, false, 5)]
    public void The_steps_of_a_pipeline_may_stand_on_tokens_that_are_sampled_in_its_last_stage(int firstSeed, bool disturbed, int stages)
    {
        var unknown = 0;
        for (var seed = firstSeed; seed < firstSeed + Fuzz.Times(60); seed++)
        {
            var random = new Random(seed);
            var setup = RandomSetup(random, disturbed) with { StepsInFlight = stages + 1, RunAhead = true, Groups = random.Next(1, 3), MaxDrafts = random.Next(2) * 3 };
            var simulation = new Simulation(setup with { Options = setup.Options with { MicroBatches = stages } }, seed);
            try
            {
                simulation.Run(Workload.Random(seed, 40, random.Next(1, 120), random.Next(1, 60), salts: true, promptLogits: true), perStep: 3);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}: {e.Message}", e);
            }

            unknown += simulation.NumUnknownTokens;
        }

        Assert.True(unknown > 1000, $"only {unknown} tokens were taken before they were known");
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(1000, true)]
    public void Four_steps_in_flight_with_0_to_3_tokens_change_no_output(int firstSeed, bool disturbed)
    {
        for (var seed = firstSeed; seed < firstSeed + Fuzz.Times(60); seed++)
        {
            var random = new Random(seed);
            var simulation = new Simulation(RandomSetup(random, disturbed) with { StepsInFlight = 4, MaxTokens = 3 }, seed);
            simulation.Run(Workload.Random(seed, 40, random.Next(1, 120), random.Next(1, 60), salts: true, promptLogits: true), perStep: 3);
        }
    }

    [Theory]
    [InlineData(0, false, 1, false)]
    [InlineData(1000, true, 1, false)]
    [InlineData(2000, true, 2, true)]
    [InlineData(3000, true, 4, false)]
    public void Drafts_change_no_output(int firstSeed, bool disturbed, int stepsInFlight, bool runAhead)
    {
        var (drafted, unknown) = (0, 0);
        for (var seed = firstSeed; seed < firstSeed + Fuzz.Times(60); seed++)
        {
            var random = new Random(seed);
            var setup = RandomSetup(random, disturbed) with { StepsInFlight = stepsInFlight, RunAhead = runAhead, MaxDrafts = random.Next(1, 7), MaxTokens = runAhead ? 1 : random.Next(1, 5) };
            var simulation = new Simulation(setup, seed);
            try
            {
                simulation.Run(Workload.Random(seed, 40, random.Next(1, 120), random.Next(1, 60), salts: true, promptLogits: true), perStep: 3);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}: {e.Message}", e);
            }

            drafted += simulation.NumDraftedSteps;
            unknown += simulation.NumUnknownTokens;
        }

        Assert.True(drafted > 1000, $"only {drafted} drafts were verified");
        Assert.True(!runAhead || unknown > 1000, $"only {unknown} tokens were taken before they were known");
    }

    [Theory]
    [InlineData(0, false, 2, 1)]
    [InlineData(1000, true, 2, 3)]
    [InlineData(2000, true, 4, 2)]
    public void Groups_with_caches_of_their_own_change_no_output_and_no_sequence_changes_its_group(int firstSeed, bool disturbed, int groups, int stepsInFlight)
    {
        var (shared, steps) = (0, 0);
        for (var seed = firstSeed; seed < firstSeed + Fuzz.Times(60); seed++)
        {
            var random = new Random(seed);
            var setup = RandomSetup(random, disturbed) with { Groups = groups, StepsInFlight = stepsInFlight, MaxDrafts = random.Next(2) * 3, MaxTokens = random.Next(1, 3) };
            if (stepsInFlight > 1)
                setup = setup with { Options = setup.Options with { MicroBatches = stepsInFlight } };
            var simulation = new Simulation(setup, seed);
            try
            {
                simulation.Run(Workload.Random(seed, 40, random.Next(1, 120), random.Next(1, 60), salts: true, promptLogits: true), perStep: 3);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}: {e.Message}", e);
            }

            (shared, steps) = (shared + simulation.NumSharedSteps, steps + simulation.NumSteps);
        }

        Assert.True(shared > steps / 3, $"only {shared} of {steps} steps had sequences of several groups");
    }

    private static SimulationSetup RandomSetup(Random random, bool disturbed)
    {
        var chunked = random.Next(4) != 0;
        const int maxLen = 150;
        int[] chunks = [0, 1, 7, 16, 64];
        var chunk = chunks[random.Next(chunks.Length)];
        var blockSize = random.Next(3) switch { 0 => 16, 1 => 4, _ => 1 };
        var need = (maxLen + blockSize - 1) / blockSize;
        var budget = chunked ? random.Next(1, 200) : random.Next(maxLen, 400);
        return new SimulationSetup
        {
            Options = new SchedulerOptions
            {
                MaxModelLen = maxLen,
                EnableChunkedPrefill = chunked,
                MaxNumBatchedTokens = budget,
                MaxNumSeqs = random.Next(1, int.Min(budget, 30) + 1),
                LongPrefillTokenThreshold = chunked ? chunk : 0,
                Policy = random.Next(3) == 0 ? SchedulingPolicy.Priority : SchedulingPolicy.Fcfs,
                ReserveFullPrompt = random.Next(2) == 0,
                AdmissionWatermark = random.Next(2) * 0.05,
            },
            NumBlocks = random.Next(need, need * 6),
            BlockSize = blockSize,
            PrefixCaching = random.Next(4) != 0,
            StepsInFlight = random.Next(1, 4),
            StopEvery = random.Next(2) * 40,
            Abort = disturbed ? 0.03 : 0,
            FailedStep = disturbed ? 0.01 : 0,
            NonFinite = disturbed ? 0.005 : 0,
            Throwing = disturbed ? 0.005 : 0,
            Reset = disturbed ? 0.01 : 0,
        };
    }
}
