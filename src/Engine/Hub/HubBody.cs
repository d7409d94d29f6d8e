using System.Text.Json;

namespace LocalLlm.Hub;

/// <summary>Reads the body of an answer: a silent server is given up, a long one is cut off.</summary>
internal static class HubBody
{
    /// <summary>How long a server may say nothing.</summary>
    public static readonly TimeSpan IdleTimeout = TimeSpan.FromSeconds(30);

    private const int MaxJsonBytes = 64 << 20;

    /// <summary>Reads what has come; 0 at the end.</summary>
    /// <exception cref="HubFault">The connection broke, or nothing came for 30 seconds.</exception>
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

    /// <summary>The body as JSON.</summary>
    /// <exception cref="HubFault">As <see cref="ReadAsync"/>.</exception>
    /// <exception cref="EngineException">ModelFolder: it is too large, or no JSON.</exception>
    public static async Task<JsonDocument> ReadJsonAsync(HttpResponseMessage response, string what, CancellationToken cancellationToken)
    {
        using var body = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        using var bytes = new MemoryStream();
        var buffer = new byte[64 << 10];
        int count;
        while ((count = await ReadAsync(body, buffer, what, cancellationToken).ConfigureAwait(false)) > 0)
        {
            if (bytes.Length + count > MaxJsonBytes)
                throw EngineException.ModelFolder(what, $"the hub's answer is larger than {MaxJsonBytes >> 20} MiB");
            bytes.Write(buffer, 0, count);
        }

        try
        {
            return JsonDocument.Parse(bytes.GetBuffer().AsMemory(0, (int)bytes.Length), new JsonDocumentOptions { MaxDepth = 64 });
        }
        catch (JsonException failure)
        {
            throw EngineException.ModelFolder(what, $"the hub's answer is not JSON ({failure.Message}); is the endpoint a hub?", failure);
        }
    }
}
