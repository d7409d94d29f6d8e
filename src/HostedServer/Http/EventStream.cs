using System.Net.ServerSentEvents;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Server.Http;

/// <summary>
/// Sends a response as server-sent events; the last event is <c>[DONE]</c>. A failure after the first event becomes an event of its own,
/// <c>{"error": …}</c>, before <c>[DONE]</c>: clients read a stream to its end and raise that error. A client that does not read is
/// disconnected after a while.
/// </summary>
internal static class EventStream
{
    /// <summary>Sends <paramref name="events"/> until they end or fail, then <c>[DONE]</c>.</summary>
    /// <param name="context">The request.</param>
    /// <param name="events">JSON objects as UTF-8.</param>
    /// <param name="stall">How long one event may remain unread.</param>
    /// <param name="time">The clock.</param>
    /// <param name="abort">Cancelled to end the response early.</param>
    /// <exception cref="Exception">Computing the first event failed; nothing was sent.</exception>
    public static async Task SendAsync(HttpContext context, IAsyncEnumerable<byte[]> events, TimeSpan stall, TimeProvider time, CancellationToken abort)
    {
        using var left = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, abort);
        await using var source = events.GetAsyncEnumerator(left.Token);
        // A request refused before the first event gets its own HTTP status.
        bool hasFirst;
        try
        {
            hasFirst = await source.MoveNextAsync();
        }
        catch (OperationCanceledException) when (abort.IsCancellationRequested && !context.RequestAborted.IsCancellationRequested)
        {
            throw new ApiException(ApiError.EndedByShutdown);
        }

        await using var timer = time.CreateTimer(_ => context.Abort(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        await TypedResults.ServerSentEvents(ItemsAsync(context, source, hasFirst, timer, stall)).ExecuteAsync(context);
    }

    /// <summary>Serializes a value as an event's data.</summary>
    public static byte[] Json<T>(T value, JsonTypeInfo<T> type) => JsonSerializer.SerializeToUtf8Bytes(value, type);

    private static async IAsyncEnumerable<SseItem<byte[]>> ItemsAsync(HttpContext context, IAsyncEnumerator<byte[]> source, bool hasNext, ITimer timer, TimeSpan stall)
    {
        while (hasNext)
        {
            // The consumer asks for the next event as soon as it has written this one.
            timer.Change(stall, Timeout.InfiniteTimeSpan);
            yield return new(source.Current);
            timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            ApiError? error = null;
            try
            {
                hasNext = await source.MoveNextAsync();
            }
            catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
            {
                yield break;
            }
            catch (OperationCanceledException)
            {
                error = ApiError.EndedByShutdown;
            }
            catch (Exception failure)
            {
                error = context.RequestServices.GetRequiredService<ApiPipeline>().Explain(context, failure);
            }

            if (error is null)
                continue;
            timer.Change(stall, Timeout.InfiniteTimeSpan);
            yield return new(error.ToJson());
            break;
        }

        timer.Change(stall, Timeout.InfiniteTimeSpan);
        yield return new("[DONE]"u8.ToArray());
    }
}
