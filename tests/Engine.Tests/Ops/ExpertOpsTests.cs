using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using Xunit;
using TorchSharp;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// Compares the CPU's experts, computed all at once for a step, with plain tensor operations, one expert after the other.
/// </summary>
public sealed class ExpertOpsTests : IDisposable
{
    private readonly CpuOps _ops = new();
    private readonly DisposeScope _scope;

    public ExpertOpsTests()
    {
        TorchLibrary.EnsureLoaded();
        _scope = NewDisposeScope();
        manual_seed(11);
    }

    // Tokens, experts, experts per token, hidden, width.
    public static TheoryData<int, int, int, int, int> Shapes => new()
    {
        { 1, 8, 2, 128, 64 }, { 1, 64, 6, 256, 96 }, { 3, 5, 1, 33, 17 }, { 5, 4, 4, 64, 130 }, { 17, 6, 2, 100, 65 }, { 40, 16, 3, 70, 31 },
        { 64, 4, 2, 96, 160 }, { 200, 64, 6, 64, 80 }, { 257, 8, 2, 48, 40 }, { 2, 3, 2, 1, 1 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void All_experts_at_once_agree_with_one_after_the_other(int tokens, int count, int perToken, int hidden, int width)
    {
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            foreach (var kind in Enum.GetValues<Kind>())
            {
                using var experts = new Experts(_ops, kind, type, 0, count, hidden, width);
                AssertAgrees(experts, randn(tokens, hidden).to(type), Choose(tokens, count, perToken), type);
            }
        }
    }

    // Experts 3 to 6 of 9, as a rank of an expert-parallel group holds them. The rank does not sum the choices of other experts.
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void Experts_of_other_ranks_are_left_out(ScalarType type)
    {
        foreach (var kind in Enum.GetValues<Kind>())
        {
            using var experts = new Experts(_ops, kind, type, 3, 4, 96, 48);
            AssertAgrees(experts, randn(12, 96).to(type), Choose(12, 9, 3), type);
            // A step in which every token chooses experts of other ranks.
            AssertAgrees(experts, randn(2, 96).to(type), new(tensor(new long[,] { { 0, 1 }, { 8, 7 } }), ones(2, 2)), type);
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(100)]
    public void One_expert_may_have_all_rows(int tokens)
    {
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            foreach (var kind in Enum.GetValues<Kind>())
            {
                using var experts = new Experts(_ops, kind, type, 0, 4, 64, 96);
                // The last token also has an expert for itself.
                var ids = zeros(tokens, 2, ScalarType.Int64).add_(tensor(new long[] { 2, 1 }));
                ids[tokens - 1, 1] = 3;
                AssertAgrees(experts, randn(tokens, 64).to(type), new(ids, rand(tokens, 2)), type);
            }
        }
    }

    [Fact]
    public void A_float32_token_has_the_same_bits_alone_in_any_step_and_on_any_number_of_threads()
    {
        foreach (var kind in Enum.GetValues<Kind>())
        {
            using var experts = new Experts(_ops, kind, ScalarType.Float32, 0, 12, 200, 72);
            var x = randn(300, 200);
            var choices = Choose(300, 12, 4);
            var all = Bits(Sum(_ops.Features.Experts!, experts, x, choices)); // one expert after the other
            var threads = get_num_threads();
            try
            {
                foreach (var (first, tokens) in ((int, int)[])[(0, 1), (1, 2), (7, 5), (20, 16), (50, 100), (40, 256)])
                {
                    foreach (var number in (int[])[1, 2, 3])
                    {
                        set_num_threads(number);
                        var part = new ExpertChoices(choices.Ids.narrow(0, first, tokens).contiguous(), choices.Weights.narrow(0, first, tokens).contiguous());
                        var got = Bits(Sum(_ops.Features.Experts!, experts, x.narrow(0, first, tokens).contiguous(), part));
                        Assert.Equal(all[(first * 200)..((first + tokens) * 200)], got);
                    }
                }
            }
            finally
            {
                set_num_threads(threads);
            }
        }
    }

    [Fact]
    public void Experts_that_only_their_layer_knows_are_computed_by_it()
    {
        using var experts = new Experts(_ops, Kind.Unquantized, ScalarType.Float32, 0, 4, 64, 32) { HidesMatrices = true };
        AssertAgrees(experts, randn(5, 64), Choose(5, 4, 2), ScalarType.Float32);
    }

    public void Dispose()
    {
        _ops.Dispose();
        _scope.Dispose();
    }

    private void AssertAgrees(Experts experts, Tensor x, ExpertChoices choices, ScalarType type)
    {
        var expected = Sum(new TorchExpertOps(), experts, x, choices);
        OpsScenarios.AssertClose(expected, Sum(_ops.Features.Experts!, experts, x, choices), type);
    }

    private static Tensor Sum(IExpertOps ops, Experts experts, Tensor x, ExpertChoices choices)
    {
        var groups = new ExpertGroups(experts.First + experts.Count + 2);
        groups.Fill(choices.Ids);
        return ops.Sum(x, groups, choices.Weights, experts);
    }

    // Different experts for each token, in no order; some experts may get no token.
    internal static ExpertChoices Choose(int tokens, int count, int perToken) =>
        new(rand(tokens, count).add_(rand(count)).topk(perToken).indexes, rand(tokens, perToken));

    private static int[] Bits(Tensor tensor) => [.. tensor.data<float>().ToArray().Select(BitConverter.SingleToInt32Bits)];

    /// <summary>How the matrices are stored.</summary>
    internal enum Kind
    {
        Unquantized,
        Blocks,
        OddBlocks,
        Outputs,
        Matrices,

        /// <summary>Gate and up in 8-bit floats, down unquantised.</summary>
        KeptDown,
    }

    /// <summary>Random experts of a device. Experts of the same shape and kind are equal on all devices.</summary>
    internal sealed class Experts : IExperts, IDisposable
    {
        private readonly IDeviceOps _ops;
        private readonly ExpertMatrices[] _matrices;

        public Experts(IDeviceOps ops, Kind kind, ScalarType type, int first, int count, int hidden, int width)
        {
            (_ops, First, Total) = (ops, first, first + count);
            using var generator = new Generator(3, CPU); // other tests may draw at the same time
            // Experts of one shape share their grid, as the linear method's do.
            var (gateUpGrid, downGrid) = (Grid(kind, 2 * width), Grid(kind, hidden));
            _matrices = [.. Enumerable.Range(0, count).Select(_ => new ExpertMatrices(
                Matrix(generator, kind, type, 2 * width, hidden, gateUpGrid),
                Matrix(generator, kind == Kind.KeptDown ? Kind.Unquantized : kind, type, hidden, width, downGrid)))];
        }

        public int First { get; }

        public int Count => _matrices.Length;

        public int Total { get; init; }

        public ExpertRouting? Routing { get; init; }

        public bool HidesMatrices { get; init; }

        public ExpertMatrices? MatricesOf(int expert) => HidesMatrices ? null : _matrices[expert - First];

        public Tensor Forward(int expert, Tensor x)
        {
            var (gateUp, down) = _matrices[expert - First];
            return Product(_ops.SiluAndMul(Product(x, gateUp)), down);
        }

        public void Dispose()
        {
            foreach (var (gateUp, down) in _matrices)
            {
                gateUp.Dispose();
                down.Dispose();
            }
        }

        private Tensor Product(Tensor x, IWeightMatrix matrix) =>
            matrix is Fp8Weight narrow ? (_ops.Features.Fp8 ?? new TorchFp8Ops(_ops.Device)).Linear(x, narrow) : _ops.Linear(x, (LinearWeight)matrix);

        private IWeightMatrix Matrix(Generator generator, Kind kind, ScalarType type, int outputs, int inputs, Fp8Grid grid)
        {
            var scale = 1 / MathF.Sqrt(inputs);
            if (kind == Kind.Unquantized)
                return _ops.PackLinear((randn([outputs, inputs], generator: generator) * scale).to(type), null, LinearRole.Other);
            var across = (inputs + grid.ColumnOffset + grid.BlockColumns - 1) / grid.BlockColumns;
            var bytes = Bytes(0x38).add_(Bytes(2) * 128);
            var scales = rand([grid.ScaleRows.Max() + 1, across], generator: generator) * scale * 4;
            return (_ops.Features.Fp8 ?? new TorchFp8Ops(_ops.Device)).Pack(bytes, scales, grid, null, LinearRole.Other);

            Tensor Bytes(int end) => randint(0, end, [outputs, inputs], ScalarType.Byte, generator: generator);
        }

        private static Fp8Grid Grid(Kind kind, int outputs)
        {
            var (rows, columns, offset) = kind switch
            {
                Kind.Blocks => (128, 128, 0),
                Kind.OddBlocks => (24, 17, 5),
                Kind.Outputs => (1, Fp8Grid.Whole, 0),
                _ => (Fp8Grid.Whole, Fp8Grid.Whole, 0),
            };
            return new([.. Enumerable.Range(0, outputs).Select(row => row / rows)], columns, offset);
        }
    }
}
