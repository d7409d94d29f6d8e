using LocalLlm.Execution;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Sampling;
using LocalLlm.Tests.Sampling;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compares sampling on the GPU with the host's sampler: every parameter, on random rows.</summary>
public sealed class CudaSamplingTests : IDisposable
{
    // Relative to the total weight: float32 weights are not added in the same order.
    private const double Tolerance = 1e-4;

    private readonly CudaOps _cuda;
    private readonly DisposeScope _scope;

    public CudaSamplingTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
        _cuda = new(0);
        _scope = NewDisposeScope();
    }

    [Theory]
    [InlineData(37)]
    [InlineData(5000)]
    [InlineData(152_064)]
    public void A_batch_of_all_kinds_of_requests_is_sampled_as_the_host_would(int width)
    {
        const int rows = 96;
        var random = new Random(width);
        var sampler = new Sampler(width);
        var scratch = new SamplerScratch(width);
        foreach (var type in CardTypes.All)
        {
            var states = Enumerable.Range(0, rows).Select(index => RandomState(random, width, index)).ToArray();
            var logits = tensor(Enumerable.Range(0, rows).SelectMany(_ => SamplingKit.Row(random, width)).ToArray()).view(rows, width).to(type);
            var ids = Sample(logits, states);
            var values = logits.to(float32).data<float>().ToArray();
            for (var row = 0; row < rows; row++)
                AssertPlausible(values.AsSpan(row * width, width), states[row], ids[row], sampler, scratch);
        }
    }

    // The draws of few rows are passed with the launch; those of more rows are copied.
    [Theory]
    [InlineData(1)]
    [InlineData(64)]
    [InlineData(65)]
    public void Rows_without_rules_are_sampled_as_the_host_would(int rows)
    {
        const int width = 999;
        var random = new Random(rows);
        var (sampler, scratch) = (new Sampler(width), new SamplerScratch(width));
        var logits = randn(rows, width).to(CardTypes.Half);
        var states = Enumerable.Range(0, rows)
            .Select(row => SamplingKit.State(new SamplingParams { Temperature = row % 3 == 0 ? 0 : random.NextDouble() * 2 }, width, row)).ToArray();
        var values = logits.to(float32).data<float>().ToArray();
        // Twice: the host reads each batch's own tokens.
        foreach (var part in (SamplingState[][])[states, [.. states.Reverse()]])
        {
            var order = part == states ? logits : logits.flip(0);
            var ids = Sample(order, part);
            for (var row = 0; row < rows; row++)
                AssertPlausible(values.AsSpan((part == states ? row : rows - 1 - row) * width, width), part[row], ids[row], sampler, scratch);
        }
    }

    [Fact]
    public void A_row_without_a_token_says_why_and_harms_no_other()
    {
        const int width = 64;
        var logits = randn(4, width);
        logits[1, 5] = float.NaN;
        logits[2].fill_(float.NegativeInfinity);
        var banned = SamplingKit.State(new SamplingParams { AllowedTokenIds = ['G' % width], LogitBias = new Dictionary<int, double> { [3] = 1 }, BadWords = ["G"] }, width);
        var greedy = SamplingKit.State(SamplingParams.Greedy, width);
        var ids = Sample(logits, [greedy, SamplingKit.State(new SamplingParams { TopP = 0.5 }, width), greedy, banned]);
        Assert.Equal([(int)logits[0].argmax().item<long>(), ITokenSampler.NonFiniteRow, ITokenSampler.NonFiniteRow,
            ITokenSampler.NoTokenAllowed], ids);
    }

    [Fact]
    public void The_largest_value_of_each_row_and_its_first_column_are_those_of_the_plain_version() => OpsScenarios.AssertMaximaAgree(
        new TorchOps(CPU), _cuda, CardTypes.All);

    // As in a group whose ranks each hold some columns: greedy rows take the best of the ranks' best tokens, other rows are sampled whole.
    [Theory]
    [InlineData(2, 5000)]
    [InlineData(4, 1017)]
    [InlineData(8, 152_064)]
    public void Rows_of_the_best_token_and_drawn_rows_of_one_step_get_the_tokens_of_whole_rows(int ranks, int width)
    {
        const int rows = 48;
        var random = new Random(width);
        var share = (width + ranks - 1) / ranks;
        foreach (var type in CardTypes.All)
        {
            var states = Enumerable.Range(0, rows).Select(index => index % 3 == 1 ? RandomState(random, width, index) : SamplingKit.State(SamplingParams.Greedy, width)).ToArray();
            var logits = tensor(Enumerable.Range(0, rows).SelectMany(_ => SamplingKit.Row(random, width)).ToArray()).view(rows, width).to(type).cuda();
            logits[0, width - 1] = float.NaN;
            logits[2].fill_(float.NegativeInfinity);
            logits[3].fill_(1);
            var wanted = Sample(logits, states);
            Assert.Equal([ITokenSampler.NonFiniteRow, ITokenSampler.NonFiniteRow, 0], [wanted[0], wanted[2], wanted[3]]);
            var maxima = Enumerable.Range(0, ranks).Select(rank =>
                _cuda.RowMaxima(logits.narrow(1, rank * share, Math.Min(share, width - (rank * share))).contiguous(), rank * share).clone()).ToArray();
            var best = _cuda.BestOfRanks(cat(maxima, 0), ranks);
            using var batch = new SamplingBatch();
            var drawn = Enumerable.Range(0, rows)
                .Where(row => !states[row].Sampling.TakesBest(states[row].OutputLength) || !states[row].AllowedMask.IsEmpty).ToArray();
            foreach (var row in drawn)
            {
                DeviceSampling.Add(batch, states[row], states[row].OutputLength);
                batch.Rows.Add(row);
            }

            var ids = new int[rows];
            _cuda.BeginSample(logits.index_select(0, tensor(drawn.Select(row => (long)row).ToArray()).cuda()), batch, best);
            _cuda.EndSample(ids);
            Assert.Equal(wanted, ids);
            batch.Clear();
            _cuda.BeginSample(null, batch, best);
            _cuda.EndSample(ids);
            Assert.All(Enumerable.Range(0, rows).Except(drawn), row => Assert.Equal(wanted[row], ids[row]));
        }
    }

    public void Dispose()
    {
        _scope?.Dispose();
        _cuda?.Dispose();
    }

    private static SamplingState RandomState(Random random, int width, int index)
    {
        T? Sometimes<T>(Func<T> value)
            where T : struct => random.Next(2) == 0 ? value() : null;
        int Id() => random.Next(width);
        var request = new SamplingParams
        {
            Temperature = random.Next(4) == 0 ? 0 : 0.05 + (1.9 * random.NextDouble()),
            TopP = Sometimes(() => random.Next(3) == 0 ? 1e-6 : 0.01 + (0.99 * random.NextDouble())),
            TopK = Sometimes(() => random.Next(1, Math.Min(width - 1, random.Next(2) == 0 ? 50 : 5000))),
            MinP = Sometimes(() => random.NextDouble() * 0.3),
            RepetitionPenalty = Sometimes(() => 0.5 + (1.5 * random.NextDouble())),
            FrequencyPenalty = random.Next(3) == 0 ? (random.NextDouble() * 4) - 2 : 0,
            PresencePenalty = random.Next(3) == 0 ? (random.NextDouble() * 4) - 2 : 0,
            MinTokens = random.Next(3) == 0 ? 12 : 0,
            MaxTokens = 100,
            StopTokenIds = [Id()],
            LogitBias = random.Next(3) == 0 ? Enumerable.Range(0, 5).Select(_ => Id()).Distinct().ToDictionary(id => id, _ => (random.NextDouble() * 20) - 10) : new Dictionary<int, double>(),
            AllowedTokenIds = random.Next(5) == 0 ? [.. Enumerable.Range(0, 20).Select(_ => Id()).Distinct()] : null,
            BadWords = random.Next(4) == 0 ? [((char)('A' + random.Next(26))).ToString()] : [],
        };
        var output = Enumerable.Range(0, random.Next(30)).Select(_ => Id()).ToArray();
        var state = SamplingKit.State(request, width, index, [.. Enumerable.Range(0, 20).Select(_ => Id())], output);
        if (random.Next(5) == 0)
            state.AllowedMask = Enumerable.Range(0, random.Next(1, (width / 32) + 2)).Select(_ => (uint)random.NextInt64(1L << 32)).ToArray();
        return state;
    }

    private static void AssertPlausible(ReadOnlySpan<float> logits, SamplingState state, int id, Sampler sampler, SamplerScratch scratch)
    {
        var expected = sampler.SampleRow(logits, state);
        if (expected.Error != SampleError.None)
        {
            Assert.Equal(SampleError.NoTokenAllowed, expected.Error);
            Assert.Equal(ITokenSampler.NoTokenAllowed, id);
            return;
        }

        if (state.Sampling.IsGreedy)
        {
            Assert.Equal(expected.TokenId, id);
            return;
        }

        if (expected.TokenId == id)
            return;

        // The tokens differ, so the number drawn must lie at a border between them.
        var row = new float[logits.Length];
        LogitsProcessors.Apply(logits, row, state);
        var scan = new RowScan(row.Length);
        scan.Scan(row);
        Categorical.Draw(row, scan, state.Sampling, state.NextUniform, scratch, out var cut);
        double Weight(int token) => Math.Exp((row[token] - scan.Max) / state.Sampling.Temperature);
        var kept = Enumerable.Range(0, row.Length).Where(token => cut.Keeps(row[token], token)).ToArray();
        var total = kept.Sum(Weight);
        var before = kept.Where(token => token < id).Sum(Weight) / total;
        Assert.True(row[id] > float.NegativeInfinity, $"token {id} is forbidden");
        Assert.InRange(state.NextUniform, before - Tolerance, before + (Weight(id) / total) + Tolerance);
    }

    private int[] Sample(Tensor logits, SamplingState[] states)
    {
        using var batch = new SamplingBatch();
        foreach (var state in states)
            DeviceSampling.Add(batch, state, state.OutputLength);
        var ids = new int[states.Length];
        _cuda.BeginSample(logits.cuda(), batch);
        _cuda.EndSample(ids);
        return ids;
    }
}
