using System.Globalization;
using LocalLlm.Hub;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Hub;

public class DownloadTests
{
    private const string Weights = "model.safetensors";

    [Theory]
    [InlineData(HubKind.HuggingFace)]
    [InlineData(HubKind.ModelScope)]
    public async Task A_repository_becomes_a_folder_with_the_files_that_are_needed_and_no_others(HubKind kind)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var folder = await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path, kind));
        HubKit.AssertIsTinyR1(folder);
        Assert.Equal(Directory.EnumerateFiles(TestPaths.TinyR1).Select(Path.GetFileName).Order(), Directory.EnumerateFiles(folder).Select(Path.GetFileName).Order());
        Assert.Empty(Directory.EnumerateFiles(cache.Path, "*.incomplete*", SearchOption.AllDirectories));
        Assert.All((string[])["README.md", "pytorch_model.bin", "tiny.gguf"], file => Assert.Empty(hub.Downloads(file)));
    }

    [Theory]
    [InlineData(HubKind.HuggingFace)]
    [InlineData(HubKind.ModelScope)]
    public async Task A_second_time_nothing_is_downloaded(HubKind kind)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path, kind);
        var first = await HubKit.ResolveAsync(options);
        hub.Requests.Clear();
        Assert.Equal(first, await HubKit.ResolveAsync(options));
        Assert.All(hub.Requests, seen => Assert.StartsWith("/api/", seen.Path, StringComparison.Ordinal));
        Assert.Empty(hub.Downloads(Weights));
    }

    [Theory]
    [InlineData(HubKind.HuggingFace)]
    [InlineData(HubKind.ModelScope)]
    public async Task A_large_file_comes_in_several_ranges(HubKind kind)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        HubKit.AssertIsTinyR1(await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path, kind) with { MaxParallelRanges = 5 }));
        var ranges = hub.Downloads(Weights).Where(seen => seen.Server == (kind == HubKind.HuggingFace ? "cdn" : "hub")).Select(seen => seen.Headers["Range"]).ToList();
        Assert.Equal(5, ranges.Distinct().Count());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public async Task A_broken_connection_is_resumed_where_it_broke(int ranges)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        (hub.BreakAfter, hub.Breaks) = (1_000_000, 7);
        HubKit.AssertIsTinyR1(await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path) with { MaxParallelRanges = ranges }));
        var asked = hub.Downloads(Weights).Where(seen => seen.Server == "cdn").ToList();
        Assert.Equal(7 + ranges, asked.Count);
        // Only what was in flight when the connection broke is lost; no earlier byte is requested again.
        var resumed = asked.Where(seen => seen.Headers.ContainsKey("If-Range")).ToList();
        Assert.InRange(resumed.Count, 7 - ranges, 7);
        Assert.All(resumed, seen => Assert.Equal("\"of-the-cdn\"", seen.Headers["If-Range"]));
        Assert.Equal(asked.Count, asked.Select(seen => seen.Headers.GetValueOrDefault("Range")).Distinct().Count());
        if (ranges == 1)
            Assert.All(resumed, seen => Assert.EndsWith($"-{hub.Files[Weights].Length - 1}", seen.Headers["Range"], StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(HubKind.HuggingFace)]
    [InlineData(HubKind.ModelScope)]
    public async Task What_came_before_a_failure_is_not_asked_for_again_by_the_next_process(HubKind kind)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path, kind) with { MaxParallelRanges = 1 };
        (hub.BreakAfter, hub.Breaks) = (4_000_000, 1);
        hub.Intercept = context => Task.FromResult(context.Request.Headers.Range.Count > 0 && Refused(context));
        await HubKit.FailAsync(options);
        hub.Intercept = null;
        hub.Requests.Clear();
        var plan = (await File.ReadAllLinesAsync(Directory.EnumerateFiles(cache.Path, "*.ranges", SearchOption.AllDirectories).Single(), TestContext.Current.CancellationToken))[^1].Split(' ');
        Assert.InRange(long.Parse(plan[2], CultureInfo.InvariantCulture), 1, 4_000_000);
        HubKit.AssertIsTinyR1(await HubKit.ResolveAsync(options));
        Assert.All(hub.Downloads(Weights), seen => Assert.Equal($"bytes={plan[2]}-{hub.Files[Weights].Length - 1}", seen.Headers["Range"]));

        static bool Refused(Microsoft.AspNetCore.Http.HttpContext context)
        {
            FakeHub.Refuse(context, 503);
            return true;
        }
    }

    [Fact]
    public async Task A_partial_file_that_Python_left_is_resumed()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var blobs = Directory.CreateDirectory(Path.Combine(cache.Path, "models--org--tiny-r1", "blobs")).FullName;
        await File.WriteAllBytesAsync(Path.Combine(blobs, hub.DigestOf(Weights) + ".incomplete"), hub.Files[Weights][..3_000_000], TestContext.Current.CancellationToken);
        HubKit.AssertIsTinyR1(await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path) with { MaxParallelRanges = 1 }));
        Assert.Equal($"bytes=3000000-{hub.Files[Weights].Length - 1}", Assert.Single(hub.Downloads(Weights), seen => seen.Server == "cdn").Headers["Range"]);
    }

    [Fact]
    public async Task A_server_that_knows_no_ranges_still_works()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.IgnoresRanges = true;
        (hub.BreakAfter, hub.Breaks) = (2_000_000, 1);
        HubKit.AssertIsTinyR1(await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path)));
    }

    [Theory]
    [InlineData("bytes 5-9/20")]
    [InlineData("bytes 0-1000000000/14707472")]
    [InlineData("none")]
    public async Task A_range_that_was_not_asked_for_is_an_error(string contentRange)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.Lfs.Clear();
        hub.Intercept = async context =>
        {
            if (context.Request.Headers.Range.Count == 0)
                return false;
            context.Response.StatusCode = 206;
            if (contentRange != "none")
                context.Response.Headers.ContentRange = contentRange;
            await context.Response.Body.WriteAsync(new byte[100]);
            return true;
        };
        var failure = await HubKit.FailAsync(HubKit.Options(hub, cache.Path));
        Assert.Equal(EngineErrorKind.Environment, failure.Kind);
        Assert.Contains("'model.safetensors'", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    public async Task A_file_of_another_length_than_listed_is_an_error(int difference)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.SizeLies["config.json"] = hub.Files["config.json"].Length + difference;
        Assert.Contains("'config.json'", (await HubKit.FailAsync(HubKit.Options(hub, cache.Path))).Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFiles(cache.Path, "config.json", SearchOption.AllDirectories));
    }

    [Theory]
    [InlineData(HubKind.HuggingFace, "model.safetensors")]
    [InlineData(HubKind.HuggingFace, "config.json")]
    [InlineData(HubKind.ModelScope, "model.safetensors")]
    public async Task A_hash_that_is_wrong_twice_is_one_error_and_leaves_no_file(HubKind kind, string file)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.Lies[file] = new string('b', hub.Lfs.Contains(file) || kind == HubKind.ModelScope ? 64 : 40);
        var failure = await HubKit.FailAsync(HubKit.Options(hub, cache.Path, kind));
        Assert.Equal(EngineErrorKind.ModelFolder, failure.Kind);
        Assert.Contains(file, failure.Message, StringComparison.Ordinal);
        Assert.Contains(hub.Lies[file], failure.Message, StringComparison.Ordinal);
        Assert.Contains(kind == HubKind.ModelScope || hub.Lfs.Contains(file) ? FakeHub.Sha256(hub.Files[file]) : FakeHub.GitSha1(hub.Files[file]), failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(Directory.EnumerateFiles(cache.Path, "*", SearchOption.AllDirectories), path => new FileInfo(path).Length == hub.Files[file].Length);
        // Other files that were still downloading may have left incomplete files.
        Assert.DoesNotContain(Directory.EnumerateFiles(cache.Path, "*.incomplete*", SearchOption.AllDirectories), path => path.Contains(kind == HubKind.ModelScope ? file : hub.Lies[file], StringComparison.Ordinal));
    }

    [Fact]
    public async Task Bytes_that_were_wrong_once_are_downloaded_again()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var spoilt = 0;
        hub.Intercept = async context =>
        {
            if (!context.Request.Path.Value!.EndsWith("/config.json", StringComparison.Ordinal) || Interlocked.Increment(ref spoilt) > 1)
                return false;
            await context.Response.Body.WriteAsync(new byte[hub.Files["config.json"].Length]);
            return true;
        };
        HubKit.AssertIsTinyR1(await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path)));
        Assert.Equal(2, spoilt);
    }

    [Fact]
    public async Task Two_downloads_of_the_same_model_at_once_fetch_each_file_once()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path) with { MaxParallelRanges = 1 };
        var folders = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => HubKit.ResolveAsync(options)));
        HubKit.AssertIsTinyR1(Assert.Single(folders.Distinct()));
        Assert.Single(hub.Downloads(Weights), seen => seen.Server == "cdn");
    }

    [Fact]
    public async Task Progress_ends_with_all_bytes_and_all_files()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        (hub.BreakAfter, hub.Breaks) = (1_000_000, 3);
        var reports = new HubKit.Reports();
        await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path), reports);
        var total = Directory.EnumerateFiles(TestPaths.TinyR1).Sum(file => new FileInfo(file).Length);
        Assert.Equal((total, total, 5, 5), (reports[^1].BytesDone, reports[^1].BytesTotal, reports[^1].FilesDone, reports[^1].FilesTotal));
        Assert.All(reports, report => Assert.InRange(report.BytesDone, 0, total));
    }

    [Fact]
    public async Task A_cancelled_download_stops_and_keeps_what_came()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        using var stop = new CancellationTokenSource();
        var progress = new Stopper(stop);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ModelHub.ResolveAsync(ModelReference.Parse(FakeHub.Repository), HubKit.Options(hub, cache.Path), progress, stop.Token));
        Assert.NotEmpty(Directory.EnumerateFiles(cache.Path, "*.incomplete", SearchOption.AllDirectories));
        HubKit.AssertIsTinyR1(await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path)));
    }

    private sealed class Stopper(CancellationTokenSource stop) : IProgress<DownloadProgress>
    {
        public void Report(DownloadProgress value)
        {
            if (value.File == Weights && value.FileBytesDone > 1_000_000)
                stop.Cancel();
        }
    }
}
