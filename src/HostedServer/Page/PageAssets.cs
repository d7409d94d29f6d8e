using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.Page;

/// <summary>One file of the page, embedded in the assembly.</summary>
/// <param name="Route">The route of the file.</param>
/// <param name="ContentType">The media type.</param>
/// <param name="Bytes">The content.</param>
internal sealed record PageAsset(string Route, string ContentType, byte[] Bytes)
{
    // No resources from other origins, no inline scripts, no framing of the page.
    private const string Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// <summary>Sends the file.</summary>
    public Task WriteAsync(HttpContext context)
    {
        // The page's URLs are relative: without the final slash of /llm/ they would resolve to its parent.
        if (!context.Request.Path.HasValue)
        {
            context.Response.Redirect($"{context.Request.PathBase}/", permanent: false);
            return Task.CompletedTask;
        }

        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = Policy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers.CacheControl = "no-cache";
        context.Response.ContentType = ContentType;
        context.Response.ContentLength = Bytes.Length;
        return context.Response.Body.WriteAsync(Bytes, context.RequestAborted).AsTask();
    }
}

/// <summary>The files of the page.</summary>
internal static class PageAssets
{
    /// <summary>All files of the page.</summary>
    public static IReadOnlyList<PageAsset> All { get; } =
    [
        Load("/", "index.html", "text/html; charset=utf-8"),
        Script("playground.js"),
        Script("answer.js"),
        Script("settings.js"),
        Script("api.js"),
        Script("text.js"),
        Script("dom.js"),
        Script("engine.js"),
        Script("metrics.js"),
        Script("charts.js"),
        Load("/page/style.css", "style.css", "text/css; charset=utf-8"),
    ];

    private static PageAsset Script(string file) => Load($"/page/{file}", file, "text/javascript; charset=utf-8");

    private static PageAsset Load(string route, string file, string contentType)
    {
        using var stream = typeof(PageAssets).Assembly.GetManifestResourceStream($"Page/{file}")!;
        using var bytes = new MemoryStream();
        stream.CopyTo(bytes);
        return new(route, contentType, bytes.ToArray());
    }
}
