using LocalLlm.Parallel;
using Xunit;

namespace LocalLlm.Tests.Parallel;

/// <summary>Two threads that queue work for messages wait for each other's queueing, and for nothing else.</summary>
public class MessageTurnsTests
{
    private const int Slots = 3;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_message_comes_once_and_in_order_and_no_slot_is_used_by_both_ends()
    {
        const int messages = 20_000;
        var turns = new MessageTurns(Slots);
        var slots = new int[Slots];
        var sending = Task.Run(() =>
        {
            for (var message = 1; message <= messages; message++)
            {
                var slot = turns.BeginSend();
                Assert.Equal(0, slots[slot]);
                slots[slot] = message;
                turns.EndSend();
            }
        }, Token);
        var receiving = Task.Run(() =>
        {
            for (var message = 1; message <= messages; message++)
            {
                var slot = turns.BeginReceive();
                Assert.Equal(message, slots[slot]);
                slots[slot] = 0;
                turns.EndReceive();
            }
        }, Token);
        await Task.WhenAll(sending, receiving).WaitAsync(TimeSpan.FromMinutes(1), Token);
    }

    [Fact]
    public async Task A_sender_is_as_many_messages_ahead_as_there_are_slots()
    {
        var turns = new MessageTurns(Slots);
        for (var message = 0; message < Slots; message++)
        {
            Assert.Equal(message, turns.BeginSend());
            turns.EndSend();
        }

        var next = Task.Run(turns.BeginSend, Token);
        Assert.Equal(0, turns.BeginReceive());
        Assert.False(next.IsCompleted);
        turns.EndReceive();
        Assert.Equal(0, await next.WaitAsync(TimeSpan.FromMinutes(1), Token));
    }

    [Fact]
    public async Task An_abort_ends_both_waits_with_its_reason()
    {
        var (empty, full) = (new MessageTurns(1), new MessageTurns(1));
        full.BeginSend();
        full.EndSend();
        Task[] waiting = [Task.Run(empty.BeginReceive, Token), Task.Run(full.BeginSend, Token)];
        foreach (var turns in (MessageTurns[])[empty, full])
            turns.Abort(new InvalidOperationException("pulled out"));
        foreach (var one in waiting)
            Assert.Contains("pulled out", (await Assert.ThrowsAsync<RankFailedException>(() => one.WaitAsync(TimeSpan.FromMinutes(1), Token))).Message, StringComparison.Ordinal);
        Assert.Throws<RankFailedException>(() => empty.BeginSend());
    }
}
