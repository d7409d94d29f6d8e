using LocalLlm.Models.Rotary;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Rotary;

/// <summary>
/// Compares frequencies with transformers' own expressions, evaluated by torch in float32 (<see cref="Reference"/>), and with values
/// derived by hand from the definitions.
/// </summary>
public class RotaryFrequenciesTests
{
    private const int Context = 4096;

    private static readonly (int HeadDim, double Theta)[] s_shapes =
        [(2, 10_000), (8, 10_000), (24, 500_000), (64, 1e6), (96, 1e7), (128, 10_000), (128, 500_000), (128, 1e8), (256, 5e7), (1024, 1e15)];

    [Fact]
    public void Default_frequencies_are_powers_of_theta()
    {
        var (invFreq, scaling) = RotaryFrequencies.Compute(new RopeConfig(), 8, Context);
        Assert.Equal([1f, 0.1f, 0.01f, 0.001f], invFreq, (a, b) => Close(a, b));
        Assert.Equal(1, scaling);
        AssertAll(rope => rope, (_, theta, dim) => 1.0 / pow(theta, Exponents(dim)));
    }

    [Fact]
    public void Linear_divides_every_frequency()
    {
        var (invFreq, scaling) = RotaryFrequencies.Compute(new RopeConfig { RopeType = RopeType.Linear, Factor = 4 }, 8, Context);
        Assert.Equal([0.25f, 0.025f, 0.0025f, 0.00025f], invFreq, (a, b) => Close(a, b));
        Assert.Equal(1, scaling);
        AssertAll(
            rope => rope with { RopeType = RopeType.Linear, Factor = 2.7 },
            (rope, theta, dim) => 1.0 / pow(theta, Exponents(dim)) / rope.Factor);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(1L)]
    [InlineData(4096L)]
    public void Dynamic_equals_default_up_to_the_context(long? length)
    {
        var dynamic = RotaryFrequencies.Compute(new RopeConfig { RopeType = RopeType.Dynamic, Factor = 4 }, 64, Context, length);
        Assert.Equal(RotaryFrequencies.Compute(new RopeConfig(), 64, Context).InvFreq, dynamic.InvFreq);
        Assert.Equal(1, dynamic.AttentionScaling);
    }

    [Theory]
    [InlineData(4097)]
    [InlineData(8192)]
    [InlineData(100_000)]
    public void Dynamic_grows_its_base_with_the_length(long length)
    {
        foreach (var (dim, theta) in s_shapes.Where(shape => shape.HeadDim > 2))
        {
            var rope = new RopeConfig { RopeType = RopeType.Dynamic, Theta = theta, Factor = 3 };
            using var wanted = 1.0 / pow(theta * Math.Pow((3.0 * length / Context) - 2, (double)dim / (dim - 2)), Exponents(dim));
            AssertClose(wanted, RotaryFrequencies.Compute(rope, dim, Context, length).InvFreq);
        }
    }

    [Fact]
    public void The_fixed_length_of_dynamic_gives_vLLMs_base()
    {
        // vLLM: base · (factor · max_len / max_pos − (factor − 1))^(dim / (dim − 2)) with max_len = max_pos · factor.
        var rope = new RopeConfig { RopeType = RopeType.Dynamic, Factor = 4 };
        var length = RotaryFrequencies.FixedDynamicLength(rope, Context);
        Assert.Equal(16_384, length);
        var theta = 10_000 * Math.Pow((4.0 * 4) - 3, 64.0 / 62);
        using var wanted = 1.0 / pow(theta, Exponents(64));
        AssertClose(wanted, RotaryFrequencies.Compute(rope, 64, Context, length).InvFreq);
    }

    [Fact]
    public void Llama3_keeps_short_wavelengths_divides_long_ones_and_blends_between()
    {
        foreach (var (low, high, factor, original) in ((double, double, double, int)[])[(1, 4, 8, 8192), (1, 4, 32, 8192), (1, 4, 8, 64), (0.5, 2.5, 3, 300)])
        {
            AssertAll(
                rope => rope with { RopeType = RopeType.Llama3, Factor = factor, LowFreqFactor = low, HighFreqFactor = high, OriginalMaxPositionEmbeddings = original },
                (rope, theta, dim) => Reference.Llama3(rope, theta, dim));
        }

        // Llama 3.1 8B: the first frequencies are kept exactly, the last are divided by 8 exactly.
        var llama = new RopeConfig { RopeType = RopeType.Llama3, Theta = 500_000, Factor = 8, OriginalMaxPositionEmbeddings = 8192 };
        var scaled = RotaryFrequencies.Compute(llama, 128, 131_072).InvFreq;
        var plain = RotaryFrequencies.Compute(new RopeConfig { Theta = 500_000 }, 128, 131_072).InvFreq;
        Assert.Equal(plain[..29], scaled[..29]);
        Assert.Equal(plain[35..].Select(f => f / 8), scaled[35..]);
        Assert.All(Enumerable.Range(29, 6), i => Assert.InRange(scaled[i], plain[i] / 8, plain[i]));
    }

    [Fact]
    public void Yarn_follows_the_reference_on_every_option()
    {
        foreach (var original in (int[])[16, 64, 4096, 32_768])
        {
            foreach (var truncate in (bool[])[true, false])
            {
                foreach (var (fast, slow) in ((double, double)[])[(32, 1), (16, 2), (1, 1), (300, 0.1)])
                {
                    AssertAll(
                        rope => rope with { RopeType = RopeType.Yarn, Factor = 40, OriginalMaxPositionEmbeddings = original, Truncate = truncate, BetaFast = fast, BetaSlow = slow },
                        (rope, theta, dim) => Reference.Yarn(rope, theta, dim));
                }
            }
        }
    }

    [Fact]
    public void Yarn_of_Qwen_keeps_the_first_frequencies_and_divides_the_last()
    {
        // theta 1e6, 32,768 positions, 64 pairs: 128 · ln(32768 / 64π) / (2 ln 1e6) = 23.6…, 128 · ln(32768 / 2π) / (2 ln 1e6) = 39.6….
        var yarn = new RopeConfig { RopeType = RopeType.Yarn, Theta = 1e6, Factor = 4, OriginalMaxPositionEmbeddings = 32_768 };
        var (scaled, scaling) = RotaryFrequencies.Compute(yarn, 128, 40_960);
        var plain = RotaryFrequencies.Compute(new RopeConfig { Theta = 1e6 }, 128, 40_960).InvFreq;
        Assert.Equal(plain[..24], scaled[..24]);
        Assert.Equal(plain[40..].Select(f => f / 4), scaled[40..], (a, b) => Close(a, b));
        Assert.All(Enumerable.Range(24, 16), i => Assert.InRange(scaled[i], plain[i] / 4, plain[i]));
        Assert.Equal((0.1 * Math.Log(4)) + 1, scaling, 1e-6);
    }

    [Theory]
    [InlineData(40, null, null, null, 1.3688879454113936)]
    [InlineData(40, null, 1.0, 1.0, 1.0)]
    [InlineData(40, null, 0.707, 0.707, 1.0)]
    [InlineData(40, null, 1.0, 0.707, 1.0857250)]
    [InlineData(40, null, 0.707, null, 1.3688879454113936)]
    [InlineData(40, null, null, 0.707, 1.3688879454113936)]
    [InlineData(40, 0.75, 1.0, 0.707, 0.75)]
    [InlineData(1, null, 2.0, 1.0, 1.0)]
    public void Yarns_scale_is_the_given_one_or_derived(double factor, double? given, double? mscale, double? allDim, double wanted)
    {
        var rope = new RopeConfig
        {
            RopeType = RopeType.Yarn, Factor = factor, AttentionFactor = given, Mscale = mscale, MscaleAllDim = allDim, OriginalMaxPositionEmbeddings = 64,
        };
        Assert.Equal(wanted, RotaryFrequencies.Compute(rope, 8, 256).AttentionScaling, 1e-5);
    }

    [Fact]
    public void A_part_of_the_head_may_be_rotated()
    {
        var partial = RotaryFrequencies.Compute(new RopeConfig { PartialRotaryFactor = 0.5 }, 128, Context).InvFreq;
        Assert.Equal(RotaryFrequencies.Compute(new RopeConfig(), 64, Context).InvFreq, partial);
    }

    [Theory]
    [InlineData(RopeType.Default, 0)]
    [InlineData(RopeType.Default, 7)]
    [InlineData(RopeType.Yarn, -2)]
    [InlineData(RopeType.Dynamic, 2)]
    internal void A_head_that_cannot_be_rotated_is_refused(RopeType type, int headDim)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => RotaryFrequencies.Compute(new RopeConfig { RopeType = type, Factor = 2 }, headDim, Context));
    }

    private static Tensor Exponents(int dim) => arange(0, dim, 2, dtype: int64).to(float32) / dim;

    private static void AssertAll(Func<RopeConfig, RopeConfig> configure, Func<RopeConfig, double, int, Tensor> reference)
    {
        using var scope = NewDisposeScope();
        foreach (var (dim, theta) in s_shapes)
        {
            var rope = configure(new RopeConfig { Theta = theta });
            AssertClose(reference(rope, theta, dim), RotaryFrequencies.Compute(rope, dim, Context).InvFreq);
        }
    }

    private static void AssertClose(Tensor wanted, float[] actual) => Assert.Equal(wanted.data<float>().ToArray(), actual, (a, b) => Close(a, b));

    private static bool Close(float a, float b) => Math.Abs(a - b) <= 1e-6f * Math.Abs(a);

    /// <summary>The tensor expressions of transformers' <c>modeling_rope_utils</c>.</summary>
    private static class Reference
    {
        public static Tensor Llama3(RopeConfig rope, double theta, int dim)
        {
            var original = (double)rope.OriginalMaxPositionEmbeddings!.Value;
            var (low, high) = (rope.LowFreqFactor, rope.HighFreqFactor);
            var invFreq = 1.0 / pow(theta, Exponents(dim));
            var wavelength = 2 * Math.PI / invFreq;
            var divided = where(wavelength > original / low, invFreq / rope.Factor, invFreq);
            var smooth = ((original / wavelength) - low) / (high - low);
            var smoothed = ((1 - smooth) * divided / rope.Factor) + (smooth * divided);
            var isMedium = logical_not(wavelength < original / high) & logical_not(wavelength > original / low);
            return where(isMedium, smoothed, divided);
        }

        public static Tensor Yarn(RopeConfig rope, double theta, int dim)
        {
            var original = (double)rope.OriginalMaxPositionEmbeddings!.Value;
            double Dimension(double rotations) => dim * Math.Log(original / (rotations * 2 * Math.PI)) / (2 * Math.Log(theta));
            var (low, high) = (Dimension(rope.BetaFast), Dimension(rope.BetaSlow));
            if (rope.Truncate)
                (low, high) = (Math.Floor(low), Math.Ceiling(high));
            (low, high) = (Math.Max(low, 0), Math.Min(high, dim - 1));
            if (low == high)
                high += 0.001;
            var powers = pow(theta, Exponents(dim));
            var keep = 1 - clamp((arange(dim / 2, dtype: float32) - low) / (high - low), 0, 1);
            return (1.0 / (rope.Factor * powers) * (1 - keep)) + (1.0 / powers * keep);
        }
    }
}
