using System.Diagnostics;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// One mixture of experts on the CPU: all experts of a step at once compared with one expert after the other, and the rate of reading
/// memory. The tokens of a step are spread over its experts as evenly as possible.
/// </summary>
internal static class ExpertSpeed
{
    private static readonly int[] s_tokens = [1, 2, 4, 8, 16, 32, 64, 128, 256];

    /// <summary>Prints medians of steps over rounds; every round measures both ways, one after the other.</summary>
    public static void Run(int hidden, int width, int count, int perToken, string type, int threads, int rounds)
    {
        TorchLibrary.EnsureLoaded();
        set_num_threads(threads);
        using var noGradients = inference_mode();
        using var ops = new CpuOps();
        using var experts = new RandomExperts(ops, hidden, width, count, type);
        var reads = new List<double>();
        var times = s_tokens.ToDictionary(tokens => tokens, _ => (AtOnce: new List<double>(), InTurn: new List<double>()));
        var first = 0;
        for (var round = 0; round < rounds; round++)
        {
            reads.Add(Probes.ReadBandwidth());
            foreach (var tokens in s_tokens)
            {
                for (var step = 0; step < Math.Clamp(64 / tokens, 2, 16); step++, first += tokens * perToken)
                {
                    using var scope = NewDisposeScope();
                    using var x = randn([tokens, hidden], type == "float32" ? ScalarType.Float32 : ScalarType.BFloat16);
                    var groups = new ExpertGroups(count);
                    groups.Fill(tensor(Enumerable.Range(first, tokens * perToken).Select(place => (long)(place % count)).ToArray(), [tokens, perToken]));
                    var weights = rand(tokens, perToken);
                    times[tokens].InTurn.Add(Time(() => new TorchExpertOps().Sum(x, groups, weights, experts)));
                    // Other experts, so that no cache holds them.
                    groups.Fill(tensor(Enumerable.Range(first + (count / 2), tokens * perToken).Select(place => (long)(place % count)).ToArray(), [tokens, perToken]));
                    times[tokens].AtOnce.Add(Time(() => ops.Features.Experts!.Sum(x, groups, weights, experts)));
                }
            }
        }

        var bytes = 3L * hidden * width * (type == "fp8" ? 1 : type == "float32" ? 4 : 2);
        Console.WriteLine($"{count} experts [{hidden}, {width}] of {type}, {perToken} of a token, {threads} threads, {rounds} rounds");
        Console.WriteLine($"memory read at {Median(reads) / 1e9:F1} GB/s, at best {reads.Max() / 1e9:F1}; medians and bests of one layer");
        Console.WriteLine("tokens   rows of an expert   all at once                                       one after the other                               ratios");
        foreach (var (tokens, (atOnce, inTurn)) in times)
        {
            var active = Math.Min(count, tokens * perToken);
            Console.WriteLine(
                $"{tokens,6}   {(double)tokens * perToken / active,17:F1}   {Text(atOnce, active)}   {Text(inTurn, active)}   {Median(inTurn) / Median(atOnce),5:F2}, {inTurn.Min() / atOnce.Min():F2}");
        }

        string Text(List<double> taken, int active) =>
            $"{Median(taken) * 1e6,8:F0}, {taken.Min() * 1e6,8:F0} us ({active * bytes / taken.Min() / 1e9,5:F1} GB/s, {active * bytes / taken.Min() / reads.Max(),4:P0} at best)";
    }

    private static double Time(Func<Tensor> step)
    {
        var start = Stopwatch.GetTimestamp();
        step().Dispose();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private sealed class RandomExperts : IExperts, IDisposable
    {
        private readonly CpuOps _ops;
        private readonly List<ExpertMatrices> _matrices = [];

        public RandomExperts(CpuOps ops, int hidden, int width, int count, string type)
        {
            _ops = ops;
            var (gateUp, down) = (Grid(2 * width), Grid(hidden));
            for (var i = 0; i < count; i++)
                _matrices.Add(new(Matrix(2 * width, hidden, gateUp), Matrix(hidden, width, down)));

            IWeightMatrix Matrix(int outputs, int inputs, Fp8Grid grid)
            {
                using var scope = NewDisposeScope();
                if (type != "fp8")
                    return _ops.PackLinear(randn([outputs, inputs], type == "float32" ? ScalarType.Float32 : ScalarType.BFloat16), null, LinearRole.Other, default);
                var scales = ones((outputs + 127) / 128, (inputs + 127) / 128);
                return _ops.Features.Fp8!.Pack(randint(0, 0x7F, [outputs, inputs], ScalarType.Byte), scales, grid, null, LinearRole.Other);
            }
        }

        public int First => 0;

        public int Count => _matrices.Count;

        public ExpertMatrices? MatricesOf(int expert) => _matrices[expert];

        public Tensor Forward(int expert, Tensor x) => Product(_ops.SiluAndMul(Product(x, _matrices[expert].GateUp)), _matrices[expert].Down);

        public void Dispose()
        {
            foreach (var (gateUp, down) in _matrices)
            {
                gateUp.Dispose();
                down.Dispose();
            }
        }

        private Tensor Product(Tensor x, IWeightMatrix matrix) =>
            matrix is Fp8Weight narrow ? _ops.Features.Fp8!.Linear(x, narrow) : _ops.Linear(x, (LinearWeight)matrix);

        private static Fp8Grid Grid(int outputs) => new([.. Enumerable.Range(0, outputs).Select(row => row / 128)], 128, 0);
    }
}
