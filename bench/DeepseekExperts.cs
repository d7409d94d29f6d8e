using System.Globalization;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Tests.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// One layer's experts of DeepSeek-V3 in 8-bit floats on a GPU: the whole sum, and each product, compared with the time to read the active
/// experts.
/// </summary>
internal static class DeepseekExperts
{
    private const int Experts = 256;
    private const int PerToken = 8;
    private const int Hidden = 7168;
    private const int Width = 2048;
    private const int BlockEdge = 128;
    private const int MaxWidenedTokens = 64;
    private const int MaxTunedTokens = 512;
    private static readonly int[] Tokens = [1, 8, 64, 512, 4096];

    /// <summary>Prints the table.</summary>
    public static void Run(CudaOps ops, double copy, TextWriter? cuts)
    {
        Console.WriteLine($"{Experts} experts [{Hidden} x {Width}] in a graph, {PerToken} a token at random: microseconds, and the share of a copy's rate at which the active ones are read");
        using var experts = new RandomExperts(ops);
        foreach (var tokens in Tokens)
        {
            using var scope = NewDisposeScope();
            var x = randn(tokens, Hidden, ScalarType.BFloat16, ops.Device);
            // Uses several choices in turn: a few experts would otherwise stay in the card's own cache.
            var choices = Enumerable.Range(0, GpuClock.Repeats).Select(_ => Choose(tokens, ops.Device)).ToArray();
            var active = choices.Average(choice => choice.Active);
            var floor = active * 3 * Hidden * Width / copy * 1e6;
            var next = 0;
            var time = GpuClock.Time(ops, () => ops.Features.Experts!.TrySum(x, choices[next++ % choices.Length].Choices, experts)!.Dispose());
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{tokens,4} tokens, {active,5:F0} experts: {time,8:F1} us, floor {floor,7:F1}, {floor / time:P0}"));
            foreach (var direction in (TokenPermutation[])[TokenPermutation.ToExperts, TokenPermutation.ToTokens])
                PrintProduct(ops, experts, x, choices, direction, copy, cuts);
        }
    }

    private static void PrintProduct(
        CudaOps ops, RandomExperts experts, Tensor x, (ExpertChoices Choices, int Active)[] choices, TokenPermutation direction, double copy, TextWriter? cuts)
    {
        var (tokens, assignments) = ((int)x.size(0), (int)x.size(0) * PerToken);
        var sorted = choices.Select(choice => SortedExperts.Of(choice.Choices.Ids.cpu().data<int>().ToArray(), Experts, PerToken, ops.Device)).ToArray();
        var isUp = direction == TokenPermutation.ToExperts;
        var table = isUp ? experts.Tables.GateUp : experts.Tables.Down;
        var input = isUp ? x : randn(assignments, Width, ScalarType.BFloat16, ops.Device);
        using var y = empty(assignments, isUp ? Width : Hidden, ScalarType.BFloat16, ops.Device);
        var next = 0;
        var floor = choices.Average(choice => choice.Active) * table.OutFeatures * table.InFeatures / copy * 1e6;
        var quantised = ops.Products.Quantise(input);
        ExpertRows Next() => sorted[next++ % sorted.Length].Rows;
        var (rows, name) = (sorted[0].Rows, string.Create(CultureInfo.InvariantCulture, $"{tokens},{table.InFeatures},{table.OutFeatures}"));
        var tiles = WarpgroupTiling.Of(rows.RowsOfTile, table.OutFeatures, table.InFeatures, rows.Products, fp8: true, ops.Card.Multiprocessors);
        if (tokens <= MaxWidenedTokens)
        {
            Print("widened", () => ops.Skinny.MultiplyExperts(input, table, y, Next(), direction), "");
        }

        Print("quantised", () => ops.Products.MultiplyExperts(quantised, table, y, Next(), direction), cuts is null || tokens > MaxTunedTokens ? "" : CutSearch.Run(
            ops, WarpgroupTiling.Source, tiles, tiles.Alternatives(hasSplits: false),
            cut => cut.Defines(x.dtype, fp8: true, gated: isUp, add: false, direction), cut => ops.Products.MultiplyExperts(quantised, table, y, Next(), direction, cut), floor,
            $"quantised-{direction},{name}", cuts));
        if (rows.MeanRows >= BulkProducts.MinRows && table.Maps is not null)
        {
            using var memory = zeros(new BulkRows(rows, 0).Length, ScalarType.Int32, ops.Device);
            var lists = ops.Bulk.List(rows, Address(memory), $"{KernelCompiler.TypeMacro(x.dtype)} EXPERTS={Experts} PER_TOKEN={PerToken}");
            Print("many rows", () => ops.Bulk.MultiplyExperts(input, table, y, lists, direction), "with quantising");
        }

        void Print(string way, Action run, string best)
        {
            var time = GpuClock.Time(ops, run);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"      {(isUp ? "gate and up" : "down"),-11} {way,-10} {time,8:F1} us, floor {floor,7:F1}, {floor / time:P0} {best}"));
        }
    }

    private static unsafe ulong Address(Tensor memory) => (ulong)memory.DataPointer();

    private static (ExpertChoices Choices, int Active) Choose(int tokens, Device device)
    {
        var ids = randn(tokens, Experts).topk(PerToken).indexes.to(ScalarType.Int32);
        var active = ids.data<int>().ToArray().Distinct().Count();
        return (new(ids.to(device), ones(tokens, PerToken, ScalarType.Float32, device)), active);
    }

    private sealed class RandomExperts : IExperts, IDisposable
    {
        private readonly ExpertMatrices[] _matrices;

        public RandomExperts(CudaOps ops)
        {
            var (up, down) = (Grid(2 * Width), Grid(Hidden));
            _matrices = [.. Enumerable.Range(0, Experts).Select(_ => new ExpertMatrices(Random(ops, 2 * Width, Hidden, up), Random(ops, Hidden, Width, down)))];
            Tables = ops.Bulk.Described(ExpertTables.TryCreate(this, ops.Device)!);
        }

        public ExpertTables Tables { get; }

        public int First => 0;

        public int Count => Experts;

        public ExpertMatrices? MatricesOf(int expert) => _matrices[expert];

        public Tensor Forward(int expert, Tensor x) => throw new NotSupportedException("the card multiplies all experts at once");

        public void Dispose()
        {
            Tables.Dispose();
            foreach (var one in _matrices)
            {
                ((Fp8Weight)one.GateUp).Dispose();
                ((Fp8Weight)one.Down).Dispose();
            }
        }

        private static Fp8Grid Grid(int outputs) => new([.. Enumerable.Range(0, outputs).Select(row => row / BlockEdge)], BlockEdge, 0);

        private static Fp8Weight Random(CudaOps ops, int outputs, int inputs, Fp8Grid grid) => ops.Features.Fp8!.Pack(
            randint(0, 120, [outputs, inputs], ScalarType.Byte, ops.Device), ones(outputs / BlockEdge, inputs / BlockEdge) * 0.001f, grid, null, LinearRole.Other);
    }
}
