using System.Text;
using LocalLlm.Tool.JsonLines;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.JsonLines;

public class OrderedLinesTests
{
    [Fact]
    public async Task Results_come_in_the_order_of_the_lines_though_the_last_is_done_first()
    {
        const int count = 50;
        var gates = Enumerable.Range(0, count + 1).Select(_ => new TaskCompletionSource()).ToArray();
        gates[count].SetResult();
        using var input = Lines(count);
        using var output = new MemoryStream();
        var lines = new OrderedLines(input, output, async (line, _) =>
        {
            // Each line waits for the line after it.
            await gates[line.Number].Task;
            gates[line.Number - 1].SetResult();
            return LineResult.Object(writer => writer.WriteNumber("line", line.Number));
        });
        var counts = await lines.RunAsync(null, TestContext.Current.CancellationToken);
        Assert.Equal(new(count, 0, 0), counts);
        Assert.Equal(Enumerable.Range(1, count), JsonTest.ParseAll(Written(output)).Select(line => line.GetProperty("line").GetInt32()));
    }

    [Fact]
    public async Task No_more_lines_are_started_than_the_limit_while_the_first_is_not_done()
    {
        var first = new TaskCompletionSource();
        var full = new TaskCompletionSource();
        var started = 0;
        using var input = Lines(OrderedLines.MaxAhead + 500);
        using var output = new MemoryStream();
        var lines = new OrderedLines(input, output, async (line, _) =>
        {
            if (Interlocked.Increment(ref started) == OrderedLines.MaxAhead)
                full.SetResult();
            if (line.Number == 1)
                await first.Task;
            return LineResult.Object(writer => writer.WriteNumber("line", line.Number));
        });
        var run = lines.RunAsync(null, TestContext.Current.CancellationToken);
        await full.Task;
        Assert.Equal(OrderedLines.MaxAhead, Volatile.Read(ref started));
        first.SetResult();
        Assert.Equal(OrderedLines.MaxAhead + 500, (await run).Lines);
    }

    [Fact]
    public async Task Lines_with_large_results_are_fewer_at_once()
    {
        // A place stands for 64 KiB: a line takes one place for itself and 16 for its large result.
        const int most = OrderedLines.MaxAhead / 17;
        var first = new TaskCompletionSource();
        var full = new TaskCompletionSource();
        var started = 0;
        using var input = Lines(500);
        using var output = new MemoryStream();
        var lines = new OrderedLines(
            input,
            output,
            async (line, _) =>
            {
                if (Interlocked.Increment(ref started) == most)
                    full.SetResult();
                if (line.Number == 1)
                    await first.Task;
                return LineResult.Object(writer => writer.WriteNumber("line", line.Number));
            },
            _ => 1 << 20);
        var run = lines.RunAsync(null, TestContext.Current.CancellationToken);
        await full.Task;
        Assert.Equal(most, Volatile.Read(ref started));
        first.SetResult();
        Assert.Equal(500, (await run).Lines);
    }

    [Fact]
    public async Task A_failing_input_surfaces_behind_the_last_good_line()
    {
        using var input = new Broken("{}\n{}\n"u8.ToArray());
        using var output = new MemoryStream();
        var lines = new OrderedLines(input, output, (line, _) => Task.FromResult(LineResult.Object(writer => writer.WriteNumber("line", line.Number))));
        var failure = await Assert.ThrowsAsync<IOException>(() => lines.RunAsync(null, TestContext.Current.CancellationToken));
        Assert.Equal("broken", failure.Message);
        Assert.Equal(2, Written(output).Length);
    }

    [Fact]
    public async Task A_failing_output_ends_the_run()
    {
        using var input = Lines(3);
        using var output = new MemoryStream([], writable: false);
        var lines = new OrderedLines(input, output, (line, _) => Task.FromResult(LineResult.Object(writer => writer.WriteNumber("line", line.Number))));
        await Assert.ThrowsAsync<NotSupportedException>(() => lines.RunAsync(null, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Cancelling_ends_the_run_though_a_line_is_not_done()
    {
        using var cancel = new CancellationTokenSource();
        using var input = Lines(2);
        using var output = new MemoryStream();
        var lines = new OrderedLines(input, output, (_, _) => new TaskCompletionSource<LineResult>().Task);
        var run = lines.RunAsync(null, cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
    }

    private static MemoryStream Lines(int count) => new(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{}\n", count))));

    private static string[] Written(MemoryStream output) => Encoding.UTF8.GetString(output.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private sealed class Broken(byte[] bytes) : MemoryStream(bytes)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            Position < Length ? base.ReadAsync(buffer, cancellationToken) : throw new IOException("broken");
    }
}
