using LocalLlm.Interop;
using Xunit;

namespace LocalLlm.Tests.Interop;

public unsafe class NativeBufferTests
{
    [Fact]
    public void Items_stay_while_the_buffer_grows()
    {
        using var buffer = new NativeBuffer<int>();
        for (var i = 0; i < 1000; i++)
            buffer.Add(i);
        buffer.AddRange([1000, 1001]);
        Assert.Equal(Enumerable.Range(0, 1002), buffer.Span.ToArray());
        Assert.Equal(0, (long)buffer.Pointer % 64);
    }

    [Fact]
    public void Clearing_keeps_the_memory_where_it_is()
    {
        using var buffer = new NativeBuffer<long>();
        buffer.Resize(500);
        var before = (nint)buffer.Pointer;
        buffer.Clear();
        Assert.Equal(0, buffer.Count);
        buffer.Resize(500);
        Assert.Equal(before, (nint)buffer.Pointer);
    }

    [Fact]
    public void A_buffer_that_was_freed_is_empty()
    {
        var buffer = new NativeBuffer<byte>();
        buffer.Add(1);
        buffer.Dispose();
        Assert.Equal(0, buffer.Count);
        Assert.True(buffer.Pointer is null);
        buffer.Dispose();
    }
}
