using LocalLlm.Tool.Arguments;
using Xunit;

namespace LocalLlm.Tool.Tests.Arguments;

public class HumanReadableIntTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("-1", -1)]
    [InlineData("4096", 4096)]
    [InlineData("1k", 1000)]
    [InlineData("1K", 1024)]
    [InlineData("25.6k", 25_600)]
    [InlineData("1m", 1_000_000)]
    [InlineData("1M", 1 << 20)]
    [InlineData("2g", 2_000_000_000)]
    [InlineData("2G", 2L << 30)]
    [InlineData("1t", 1_000_000_000_000)]
    [InlineData("1T", 1L << 40)]
    [InlineData("4GiB", 4L << 30)]
    [InlineData("4GB", 4_000_000_000)]
    [InlineData("1.5GB", 1_500_000_000)]
    [InlineData("512MiB", 512L << 20)]
    [InlineData("64KiB", 64 << 10)]
    [InlineData("9223372036854775807", long.MaxValue)]
    public void Suffixes_mean_what_they_mean_in_vllm(string text, long expected)
    {
        Assert.True(HumanReadableInt.TryParse(text, out var value));
        Assert.Equal(expected, value);
    }

    [Theory]
    [InlineData("")]
    [InlineData("k")]
    [InlineData("1.5")]
    [InlineData("1.5K")]
    [InlineData("1.5GiB")]
    [InlineData("0.0001k")]
    [InlineData("1x")]
    [InlineData("1kk")]
    [InlineData("1 000")]
    [InlineData("1,000")]
    [InlineData("1e3")]
    [InlineData("NaN")]
    [InlineData("GiB")]
    [InlineData("9223372036854775808")]
    [InlineData("99999999999T")]
    public void Anything_else_is_refused(string text) => Assert.False(HumanReadableInt.TryParse(text, out _));
}
