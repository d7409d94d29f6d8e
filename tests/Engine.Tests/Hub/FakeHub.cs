using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Tests.Hub;

/// <summary>
/// A local server that speaks Hugging Face's and ModelScope's protocols, and a second one that plays the CDN. A test makes it break, lie
/// and refuse.
/// </summary>
internal sealed class FakeHub : IAsyncDisposable
{
    public const string Repository = "org/tiny-r1";
    public const string Commit = "0123456789abcdef0123456789abcdef01234567";

    private readonly WebApplication _hub;
    private readonly WebApplication _cdn;

    private FakeHub(WebApplication hub, WebApplication cdn) => (_hub, _cdn, Endpoint, Cdn) = (hub, cdn, hub.Urls.Single(), cdn.Urls.Single());

    /// <summary>One request as the server received it.</summary>
    public sealed record Seen(string Server, string Method, string Path, IReadOnlyDictionary<string, string> Headers);

    public ConcurrentQueue<Seen> Requests { get; } = [];

    /// <summary>Path → content. The hub redirects files in <see cref="Lfs"/> to the CDN.</summary>
    public Dictionary<string, byte[]> Files { get; } = new(StringComparer.Ordinal);

    public HashSet<string> Lfs { get; } = new(StringComparer.Ordinal);

    /// <summary>Path → the digest that the hub states instead of the right one.</summary>
    public Dictionary<string, string> Lies { get; } = new(StringComparer.Ordinal);

    /// <summary>Path → the size that the hub states instead of the right one.</summary>
    public Dictionary<string, long> SizeLies { get; } = new(StringComparer.Ordinal);

    /// <summary>Called first for each request; true: it has written the response.</summary>
    public Func<HttpContext, Task<bool>>? Intercept { get; set; }

    /// <summary>Breaks the connection after this many bytes of a body, <see cref="Breaks"/> times.</summary>
    public int BreakAfter { get; set; }

    public int Breaks;

    private long _bytesServed;

    /// <summary>Number of bytes of files that were sent.</summary>
    public long BytesServed => Interlocked.Read(ref _bytesServed);

    /// <summary>Every requested range.</summary>
    public ConcurrentQueue<(string File, long From, long To)> Ranges { get; } = [];

    public bool IgnoresRanges { get; set; }

    /// <summary>Whether the listing names sizes and digests.</summary>
    public bool ListsBlobs { get; set; } = true;

    public string Endpoint { get; }

    public string Cdn { get; }

    public IEnumerable<Seen> Downloads(string file) => Requests.Where(seen => seen.Method == "GET" && (seen.Path.EndsWith("/" + file, StringComparison.Ordinal) || seen.Path.EndsWith("FilePath=" + file, StringComparison.Ordinal)));

    public static async Task<FakeHub> StartAsync(bool withModel = true)
    {
        FakeHub? self = null;
        var hub = await ServeAsync(context => self!.HubAsync(context));
        var cdn = await ServeAsync(context => self!.CdnAsync(context));
        self = new(hub, cdn);
        if (withModel)
        {
            foreach (var file in Directory.EnumerateFiles(TestPaths.TinyR1))
                self.Files[Path.GetFileName(file)] = await File.ReadAllBytesAsync(file);
            self.Lfs.Add("model.safetensors");
            self.Files["README.md"] = "nobody needs this"u8.ToArray();
            self.Files["pytorch_model.bin"] = [1, 2, 3];
            self.Files["original/consolidated.00.pth"] = [1, 2, 3];
            self.Files["consolidated.safetensors"] = [1, 2, 3];
            self.Files["tiny.gguf"] = [1, 2, 3];
            self.Files["onnx/model.onnx"] = [1, 2, 3];
        }

        return self;
    }

    public static string Sha256(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));

#pragma warning disable CA5350 // Git's own.
    public static string GitSha1(byte[] content) =>
        Convert.ToHexStringLower(SHA1.HashData([.. Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"blob {content.Length}\0")), .. content]));
#pragma warning restore CA5350

    /// <summary>The digest that names the file's blob.</summary>
    public string DigestOf(string path) => Lies.TryGetValue(path, out var lie) ? lie : Lfs.Contains(path) ? Sha256(Files[path]) : GitSha1(Files[path]);

    public async ValueTask DisposeAsync()
    {
        await _hub.DisposeAsync();
        await _cdn.DisposeAsync();
    }

    private static async Task<WebApplication> ServeAsync(RequestDelegate handler)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var application = builder.Build();
        application.Run(handler);
        await application.StartAsync();
        return application;
    }

    private long SizeOf(string path) => SizeLies.TryGetValue(path, out var lie) ? lie : Files[path].Length;

    private void Record(string server, HttpContext context) => Requests.Enqueue(new(
        server,
        context.Request.Method,
        Uri.UnescapeDataString(context.Request.Path + context.Request.QueryString),
        context.Request.Headers.ToDictionary(header => header.Key, header => header.Value.ToString(), StringComparer.OrdinalIgnoreCase)));

    private async Task HubAsync(HttpContext context)
    {
        Record("hub", context);
        if (Intercept is { } intercept && await intercept(context))
            return;
        var path = context.Request.Path.Value!;
        if (path.StartsWith($"/api/models/{Repository}/revision/", StringComparison.Ordinal))
            await JsonAsync(context, HuggingFaceListing());
        else if (path == $"/api/v1/models/{Repository}/revisions")
            await JsonAsync(context, new { Code = 200, Data = new { RevisionMap = new { Branches = new[] { new { Revision = "master" } }, Tags = new[] { new { Revision = "v1" } } } } });
        else if (path == $"/api/v1/models/{Repository}/repo/files")
            await JsonAsync(context, new { Code = 200, Data = new { Files = Files.Keys.Select(file => new { Path = file, Size = SizeOf(file), Sha256 = Lies.GetValueOrDefault(file) ?? Sha256(Files[file]), Type = "blob" }).Append(new { Path = "original", Size = 0L, Sha256 = "", Type = "tree" }) } });
        else if (path == $"/api/v1/models/{Repository}/repo")
            await BytesAsync(context, context.Request.Query["FilePath"].ToString());
        else if (path.StartsWith($"/{Repository}/resolve/{Commit}/", StringComparison.Ordinal))
            await ResolveAsync(context, path[$"/{Repository}/resolve/{Commit}/".Length..]);
        else
            Refuse(context, 404, "RepoNotFound");
    }

    private async Task ResolveAsync(HttpContext context, string file)
    {
        if (!Files.ContainsKey(file))
        {
            Refuse(context, 404, "EntryNotFound");
            return;
        }

        context.Response.Headers["X-Repo-Commit"] = Commit;
        if (Lfs.Contains(file))
        {
            context.Response.Headers["X-Linked-Etag"] = $"\"{DigestOf(file)}\"";
            context.Response.Headers["X-Linked-Size"] = SizeOf(file).ToString(CultureInfo.InvariantCulture);
            context.Response.Redirect($"{Cdn}/{file}");
            return;
        }

        context.Response.Headers.ETag = $"\"{DigestOf(file)}\"";
        await BytesAsync(context, file);
    }

    private async Task CdnAsync(HttpContext context)
    {
        Record("cdn", context);
        context.Response.Headers.ETag = "\"of-the-cdn\"";
        await BytesAsync(context, context.Request.Path.Value![1..]);
    }

    private async Task BytesAsync(HttpContext context, string file)
    {
        var content = Files[file];
        var (from, to) = (0, content.Length);
        if (!IgnoresRanges && context.Request.GetTypedHeaders().Range?.Ranges.Single() is { } range)
        {
            (from, to) = ((int)range.From!.Value, (int)range.To!.Value + 1);
            Ranges.Enqueue((file, range.From.Value, range.To.Value));
            context.Response.StatusCode = 206;
            context.Response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes {from}-{to - 1}/{content.Length}");
        }

        context.Response.ContentLength = to - from;
        if (context.Request.Method == "HEAD")
            return;
        if (BreakAfter > 0 && BreakAfter < to - from && Interlocked.Decrement(ref Breaks) >= 0)
        {
            await context.Response.Body.WriteAsync(content.AsMemory(from, BreakAfter));
            await context.Response.Body.FlushAsync();
            context.Abort();
            return;
        }

        Interlocked.Add(ref _bytesServed, to - from);
        await context.Response.Body.WriteAsync(content.AsMemory(from, to - from));
    }

    private object HuggingFaceListing() => new
    {
        sha = Commit,
        siblings = Files.Keys.Select(file => !ListsBlobs ? (object)new { rfilename = file }
            : Lfs.Contains(file) ? new { rfilename = file, size = SizeOf(file), blobId = new string('a', 40), lfs = new { sha256 = DigestOf(file), size = SizeOf(file) } }
            : new { rfilename = file, size = SizeOf(file), blobId = DigestOf(file) }),
    };

    private static Task JsonAsync(HttpContext context, object value)
    {
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(JsonSerializer.Serialize(value));
    }

    public static void Refuse(HttpContext context, int status, string? code = null)
    {
        context.Response.StatusCode = status;
        if (code is not null)
            context.Response.Headers["X-Error-Code"] = code;
    }
}
