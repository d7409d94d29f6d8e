using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.Page;

/// <summary>One file of the page, kept in the assembly.</summary>
/// <param name="Route">Where it is served.</param>
/// <param name="ContentType">Its media type.</param>
/// <param name="Bytes">Its content.</param>
internal sealed record PageAsset(string Route, string ContentType, byte[] Bytes)
{
    // Nothing from elsewhere, no markup that runs, no frame around the page.
    private const string Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// <summary>Sends it.</summary>
    public Task WriteAsync(HttpContext context)
    {
        // The page's addresses are relative: without the slash of /llm/ they would be looked for beside it.
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
    /// <summary>All of them.</summary>
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
