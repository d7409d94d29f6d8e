using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>Responses that are sent whole.</summary>
internal static class WholeResponse
{
    /// <summary>Creates one, unless the client leaves or the server must end before.</summary>
    /// <exception cref="ApiException">503: the server ended it.</exception>
    public static async Task<T> CreateAsync<T>(HttpContext context, Admission admission, Func<CancellationToken, Task<T>> make)
    {
        using var left = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, admission.Aborted);
        try
        {
            return await make(left.Token);
        }
        catch (OperationCanceledException) when (admission.Aborted.IsCancellationRequested && !context.RequestAborted.IsCancellationRequested)
        {
            throw new ApiException(ApiError.EndedByShutdown);
        }
    }
}
