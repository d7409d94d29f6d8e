using System.Text;
using LocalLlm.Tokenization;
using Xunit;

namespace LocalLlm.Tests.Tokenization;

public class StopStringMatcherTests
{
    [Fact]
    public void Output_ends_before_the_first_stop_string_wherever_the_text_is_cut()
    {
        var random = new Random(8);
        for (var round = 0; round < Mutator.Times(3000); round++)
        {
            var text = Letters(random, 30);
            var stops = Enumerable.Range(0, random.Next(4)).Select(_ => Letters(random, 4) + "a").ToArray();
            var include = random.Next(2) == 0;
            var matcher = new StopStringMatcher(stops, include);
            var output = new StringBuilder();
            var seen = 0;
            while (seen < text.Length && matcher.MatchedIndex < 0)
            {
                var size = random.Next(1, 5);
                var delta = text[seen..Math.Min(text.Length, seen + size)];
                seen += delta.Length;
                output.Append(matcher.Append(delta));
                if (matcher.MatchedIndex < 0)
                {
                    // The matcher holds back exactly the longest end that begins a stop string.
                    var held = Enumerable.Range(0, 6).Reverse().First(n => n == 0 || n <= seen && stops.Any(s => s.Length > n && text[..seen].EndsWith(s[..n], StringComparison.Ordinal)));
                    Assert.Equal(text[..(seen - held)], output.ToString());
                }
            }

            output.Append(matcher.Flush());
            var found = stops.Select((stop, k) => (At: text[..seen].IndexOf(stop, StringComparison.Ordinal), k)).Where(m => m.At >= 0).ToArray();
            if (found.Length == 0)
            {
                Assert.Equal((text, -1, null), (output.ToString(), matcher.MatchedIndex, matcher.Matched));
                continue;
            }

            var (at, index) = found.Min();
            Assert.Equal((index, stops[index]), (matcher.MatchedIndex, matcher.Matched));
            Assert.Equal(text[..(include ? at + stops[index].Length : at)], output.ToString());
            Assert.Equal("", matcher.Append("more"));
        }
    }

    [Fact]
    public void Of_two_that_begin_at_one_place_the_first_listed_counts()
    {
        var matcher = new StopStringMatcher(["xyz", "xy"]);
        Assert.Equal("a", matcher.Append("axyzb"));
        Assert.Equal("xyz", matcher.Matched);
        matcher = new StopStringMatcher(["xyz", "xy"]);
        Assert.Equal("a", matcher.Append("axy"));
        Assert.Equal("xy", matcher.Matched);
    }

    [Fact]
    public void An_empty_stop_string_is_refused()
    {
        var error = Assert.Throws<EngineException>(() => new StopStringMatcher(["a", ""]));
        Assert.Equal((EngineErrorKind.InvalidRequest, "stop"), (error.Kind, error.Parameter));
    }

    private static string Letters(Random random, int max) =>
        string.Concat(Enumerable.Range(0, random.Next(max)).Select(_ => "ab"[random.Next(2)]));
}
