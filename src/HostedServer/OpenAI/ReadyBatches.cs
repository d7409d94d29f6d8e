using System.Runtime.CompilerServices;

namespace LocalLlm.Server.OpenAI;

/// <summary>Takes what is ready from a stream together, so that a reader who falls behind is sent fewer, larger events.</summary>
internal static class ReadyBatches
{
    private const int Most = 64;

    /// <summary>Lists of at least one item, in the stream's order; each waits only for its first.</summary>
    public static async IAsyncEnumerable<IReadOnlyList<T>> InBatches<T>(this IAsyncEnumerable<T> source, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await using var items = source.GetAsyncEnumerator(left.Token);
        var next = items.MoveNextAsync();
        var asked = true;
        try
        {
            var batch = new List<T>();
            while (true)
            {
                asked = false;
                if (!await next)
                    break;
                batch.Add(items.Current);
                next = items.MoveNextAsync();
                asked = true;
                if (next.IsCompletedSuccessfully && batch.Count < Most)
                    continue;
                yield return batch;
                batch = [];
            }

            if (batch.Count > 0)
                yield return batch;
        }
        finally
        {
            // The stream cannot be left while it is being asked.
            if (asked)
            {
                await left.CancelAsync();
                try
                {
                    await next;
                }
                catch (OperationCanceledException)
                {
                }
            }
        }
    }
}
