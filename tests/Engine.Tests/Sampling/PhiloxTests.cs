using LocalLlm.Sampling;
using Xunit;

namespace LocalLlm.Tests.Sampling;

public class PhiloxTests
{
    [Fact]
    public void Known_answers_of_the_reference_implementation()
    {
        Assert.Equal((0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u), Philox.Block(0, 0, 0, 0, 0, 0));
        const uint ones = uint.MaxValue;
        Assert.Equal((0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu), Philox.Block(ones, ones, ones, ones, ones, ones));
        Assert.Equal(
            (0xd16cfe09u, 0x94fdcceb, 0x5001e420u, 0x24126ea1u),
            Philox.Block(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0));
    }

    [Fact]
    public void Every_bit_of_the_seed_and_every_sequence_and_position_gives_another_number()
    {
        var seen = new HashSet<double> { Philox.Uniform(0, 0, 0) };
        for (var bit = 0; bit < 64; bit++)
            Assert.True(seen.Add(Philox.Uniform(1UL << bit, 0, 0)), $"seed bit {bit}");
        for (var i = 1; i < 100; i++)
        {
            Assert.True(seen.Add(Philox.Uniform(0, i, 0)), $"sequence {i}");
            Assert.True(seen.Add(Philox.Uniform(0, 0, i)), $"position {i}");
        }
    }

    [Fact]
    public void Numbers_are_spread_evenly_over_zero_to_one()
    {
        const int draws = 100_000, bins = 100;
        var counts = new double[bins];
        for (var i = 0; i < draws; i++)
            counts[(int)(Philox.Uniform(7, 3, i) * bins)]++;
        var chiSquare = counts.Sum(count => Math.Pow(count - draws / bins, 2) / (draws / bins));
        Assert.InRange(chiSquare, 40, 180);
    }
}
