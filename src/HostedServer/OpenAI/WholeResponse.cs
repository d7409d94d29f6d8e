using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>Creates responses that are not streamed.</summary>
internal static class WholeResponse
{
    /// <summary>Creates a response, unless the client leaves or the server must end first.</summary>
    /// <exception cref="ApiException">503: the server ended the response.</exception>
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
