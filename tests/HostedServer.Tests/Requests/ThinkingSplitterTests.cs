using LocalLlm.Server.Requests;
using Xunit;

namespace LocalLlm.Server.Tests.Requests;

public class ThinkingSplitterTests
{
    [Theory]
    [InlineData(true, "so\n</think>\n\nyes", "[so\n</think>]\n\nyes")]
    [InlineData(false, "<think>so</think>yes", "[<think>so</think>]yes")]
    [InlineData(false, "a<think>b</think>c<think>d", "a[<think>b</think>]c[<think>d]")]
    [InlineData(false, "no tags < think> </thin", "no tags < think> </thin")]
    [InlineData(true, "never ends </think", "[never ends </think]")]
    [InlineData(true, "", "")]
    public void Thinking_is_told_from_the_answer_however_the_text_is_cut(bool begins, string text, string expected)
    {
        for (var size = 1; size <= text.Length + 1; size++)
        {
            var splitter = new ThinkingSplitter { IsThinking = begins };
            var parts = text.Chunk(size).SelectMany(chunk => splitter.Push(new string(chunk))).ToList();
            parts.AddRange(splitter.Flush());
            var thinking = false;
            var shown = "";
            foreach (var part in parts)
            {
                shown += (thinking, part.IsThinking) switch { (false, true) => "[", (true, false) => "]", _ => "" } + part.Text;
                thinking = part.IsThinking;
            }

            Assert.Equal(expected, shown + (thinking ? "]" : ""));
        }
    }

    [Theory]
    [InlineData("a</think>b", "b")]
    [InlineData("a</think>b</think>c", "c")]
    [InlineData("abc", "abc")]
    public void The_answer_is_what_follows_the_last_thinking(string text, string answer) => Assert.Equal(answer, ThinkingSplitter.AfterThinking(text));
}
