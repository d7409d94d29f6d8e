using System.Text.Json;

namespace LocalLlm.Hub;

/// <summary>Reads the body of a response. It gives up on a silent server and cuts off a body that is too long.</summary>
internal static class HubBody
{
    /// <summary>Max time between two parts of a body.</summary>
    public static readonly TimeSpan IdleTimeout = TimeSpan.FromSeconds(30);

    private const int MaxJsonBytes = 64 << 20;

    /// <summary>Reads the bytes that have arrived; 0 at the end.</summary>
    /// <exception cref="HubFault">The connection broke, or nothing arrived for 30 seconds.</exception>
    public static async Task<int> ReadAsync(Stream body, Memory<byte> buffer, string what, CancellationToken cancellationToken)
    {
        using var idle = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        idle.CancelAfter(IdleTimeout);
        try
        {
            return await body.ReadAsync(buffer, idle.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HubFault($"{what}: the server sent nothing for {IdleTimeout.TotalSeconds} seconds.");
        }
        catch (Exception failure) when (failure is IOException or HttpRequestException)
        {
            throw new HubFault($"{what}: the connection broke ({failure.Message}).", failure);
        }
    }

    /// <summary>Reads the body as JSON.</summary>
    /// <exception cref="HubFault">As <see cref="ReadAsync"/>.</exception>
    /// <exception cref="EngineException">ModelFolder: it is too large, or not JSON.</exception>
    public static async Task<JsonDocument> ReadJsonAsync(HttpResponseMessage response, string what, CancellationToken cancellationToken)
    {
        using var body = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        using var bytes = new MemoryStream();
        var buffer = new byte[64 << 10];
        int count;
        while ((count = await ReadAsync(body, buffer, what, cancellationToken).ConfigureAwait(false)) > 0)
        {
            if (bytes.Length + count > MaxJsonBytes)
                throw EngineException.ModelFolder(what, $"the hub's response is larger than {MaxJsonBytes >> 20} MiB");
            bytes.Write(buffer, 0, count);
        }

        try
        {
            return JsonDocument.Parse(bytes.GetBuffer().AsMemory(0, (int)bytes.Length), new JsonDocumentOptions { MaxDepth = 64 });
        }
        catch (JsonException failure)
        {
            throw EngineException.ModelFolder(what, $"the hub's response is not JSON ({failure.Message}); is the endpoint a hub?", failure);
        }
    }
}
