using System.Globalization;
using System.Net;

namespace LocalLlm.Hub;

/// <summary>What an unsuccessful response means, and what to do about it.</summary>
internal sealed class HubErrors(HubClient client, HubOptions options, string repository, string revision)
{
    /// <summary>The parameter of the error for a repository that does not exist, or no longer exists, for this caller.</summary>
    public const string NoAccess = "token";

    /// <summary>Throws if a response is unsuccessful.</summary>
    /// <param name="response">The response; its last address shows which host sent it.</param>
    /// <param name="file">The requested file; null: the repository.</param>
    /// <exception cref="HubFault">A retry may succeed.</exception>
    /// <exception cref="EngineException">ModelFolder: a retry cannot succeed.</exception>
    public void ThrowIfFailed(HttpResponseMessage response, string? file)
    {
        if (response.IsSuccessStatusCode)
            return;
        var address = response.RequestMessage!.RequestUri!;
        var status = (int)response.StatusCode;
        var what = file is null ? repository : $"{repository}, {SafeNames.Quote(file)}";
        // An expired link of a CDN is requested again.
        if (status is 408 or 425 or 429 or >= 500 || !client.IsHub(address))
            throw new HubFault(Busy(what, address, status, RetryAfter(response))) { RetryAfter = RetryAfter(response) };
        var code = Code(response);
        throw new EngineException(
            EngineErrorKind.ModelFolder,
            $"{what}: {Refusal(response.StatusCode, code, status)}.",
            file is null && status is 401 or 403 or 404 && code != "RevisionNotFound" ? NoAccess : null);
    }

    private string Refusal(HttpStatusCode status, string? code, int number) => (status, code) switch
    {
        (_, "GatedRepo") => $"the repository is gated; ask for access at {Page} and {GiveToken}",
        (_, "RevisionNotFound") => $"there is no revision {SafeNames.Quote(revision)} at {Page}; name a branch, a tag or a commit that exists",
        (_, "EntryNotFound") => $"the file is not at {Page} in revision {SafeNames.Quote(revision)}",
        (HttpStatusCode.Unauthorized, "RepoNotFound") => $"the repository does not exist at {Page}, or is private; check the name, or {GiveToken}",
        (HttpStatusCode.Unauthorized, _) => $"the hub requires a token (401); ask for access at {Page} if the repository is gated, and {GiveToken}",
        (HttpStatusCode.Forbidden, _) => $"the hub refuses access (403); ask for access at {Page} if the repository is gated, and {GiveToken}",
        (HttpStatusCode.NotFound, _) => $"was not found at {Page}, and no local folder has this name; check the name, and if the repository is private {GiveToken}",
        _ => $"the hub responded with status {number}; is {SafeNames.Quote(options.Endpoint)} a hub?",
    };

    private string GiveToken => (options.Hub, options.Token) switch
    {
        (HubKind.ModelScope, null) => "set MODELSCOPE_API_TOKEN or give --token",
        (HubKind.HuggingFace, null) => "set HF_TOKEN or give --token",
        _ => "give a token that may read it (the one that was sent may not)",
    };

    private string Page => new Uri(client.Endpoint, options.Hub == HubKind.ModelScope ? "models/" + repository : repository).AbsoluteUri;

    private static string Busy(string what, Uri address, int status, TimeSpan? retryAfter)
    {
        var when = retryAfter is { } wait ? string.Create(CultureInfo.InvariantCulture, $" in {Math.Ceiling(wait.TotalSeconds):F0} seconds") : " later";
        return status == 429
            ? $"{what}: {HubClient.Shown(address)} limits requests (429); try again{when}, or use a token, which has a higher limit."
            : $"{what}: {HubClient.Shown(address)} responded with status {status}; try again{when}.";
    }

    private TimeSpan? RetryAfter(HttpResponseMessage response) => response.Headers.RetryAfter switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } => date - options.Time.GetUtcNow(),
        _ => null,
    };

    private static string? Code(HttpResponseMessage response) =>
        response.Headers.NonValidated.TryGetValues("X-Error-Code", out var values) ? values.ToString() : null;
}
