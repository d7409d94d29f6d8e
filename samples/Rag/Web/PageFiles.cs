using System.Reflection;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace LocalLlm.Samples.Rag.Web;

/// <summary>The page's three files, embedded in the assembly.</summary>
internal static class PageFiles
{
    // Nothing from other sites, nothing inline: even markup that a document smuggled into the page could do nothing.
    private const string Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    public static void MapPage(this IEndpointRouteBuilder routes)
    {
        Map("/", "index.html", "text/html; charset=utf-8");
        Map("/page.js", "page.js", "text/javascript; charset=utf-8");
        Map("/page.css", "page.css", "text/css; charset=utf-8");

        void Map(string route, string file, string type)
        {
            var bytes = Read(file);
            routes.MapGet(route, (HttpContext context) =>
            {
                context.Response.Headers.ContentSecurityPolicy = Policy;
                context.Response.Headers.XContentTypeOptions = "nosniff";
                context.Response.Headers.CacheControl = "no-cache";
                return Results.Bytes(bytes, type);
            });
        }
    }

    private static byte[] Read(string file)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream($"Page/{file}") ?? throw new InvalidOperationException($"The assembly lacks the page's file {file}.");
        using var bytes = new MemoryStream();
        stream.CopyTo(bytes);
        return bytes.ToArray();
    }
}
