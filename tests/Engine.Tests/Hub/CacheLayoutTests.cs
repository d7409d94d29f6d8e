using LocalLlm.Hub;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Hub;

public class CacheLayoutTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_cache_is_laid_out_as_huggingface_hub_lays_it_out()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.Files["1_Pooling/config.json"] = "{}"u8.ToArray();
        var folder = await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path) with { Revision = "refs/pr/1" });
        var storage = Path.Combine(cache.Path, "models--org--tiny-r1");
        Assert.Equal(Path.Combine(storage, "snapshots", FakeHub.Commit), folder);
        Assert.Equal(FakeHub.Commit, await File.ReadAllTextAsync(Path.Combine(storage, "refs", "refs", "pr", "1"), Token));
        string[] files = [.. Directory.EnumerateFiles(TestPaths.TinyR1).Select(file => Path.GetFileName(file)!), "1_Pooling/config.json"];
        foreach (var file in files)
        {
            var up = file.Contains('/', StringComparison.Ordinal) ? "../../../" : "../../";
            Assert.Equal($"{up}blobs/{hub.DigestOf(file)}", new FileInfo(Path.Combine(folder, file)).LinkTarget);
            Assert.True(File.Exists(Path.Combine(cache.Path, ".locks", "models--org--tiny-r1", hub.DigestOf(file) + ".lock")));
        }

        Assert.Equal(files.Select(hub.DigestOf).Distinct().Order(), Directory.EnumerateFiles(Path.Combine(storage, "blobs")).Select(Path.GetFileName).Order());
        Assert.Equal(["blobs", "refs", "snapshots"], Directory.EnumerateFileSystemEntries(storage).Select(Path.GetFileName).Order());
        Assert.Equal([".locks", "CACHEDIR.TAG", "models--org--tiny-r1"], Directory.EnumerateFileSystemEntries(cache.Path).Select(Path.GetFileName).Order());
    }

    [Fact]
    public async Task A_cache_that_python_has_filled_needs_no_download()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var folder = FillAsPython(hub, cache.Path);
        Assert.Equal(folder, await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path)));
        Assert.All(hub.Requests, seen => Assert.StartsWith("/api/", seen.Path, StringComparison.Ordinal));
        Assert.Equal(folder, await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path) with { Offline = true }));
    }

    [Fact]
    public async Task A_blob_without_a_link_is_linked_and_one_that_was_cut_off_is_downloaded_again()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var folder = FillAsPython(hub, cache.Path);
        File.Delete(Path.Combine(folder, "model.safetensors"));
        var blob = Path.Combine(cache.Path, "models--org--tiny-r1", "blobs", hub.DigestOf("config.json"));
        await File.WriteAllTextAsync(blob, "{", Token);
        HubKit.AssertIsTinyR1(await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path)));
        Assert.Empty(hub.Downloads("model.safetensors"));
        Assert.Single(hub.Downloads("config.json"));
    }

    [Fact]
    public async Task Where_links_are_impossible_the_files_themselves_are_in_the_snapshot()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path) with { Symlinks = false };
        var folder = await HubKit.ResolveAsync(options);
        HubKit.AssertIsTinyR1(folder);
        Assert.All(Directory.EnumerateFiles(folder), file => Assert.Null(new FileInfo(file).LinkTarget));
        hub.Requests.Clear();
        await HubKit.ResolveAsync(options);
        Assert.Single(hub.Requests);
    }

    [Fact]
    public async Task A_listing_without_sizes_is_completed_by_asking_for_each_file()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        hub.ListsBlobs = false;
        HubKit.AssertIsTinyR1(await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path)));
        Assert.Equal(5, hub.Requests.Count(seen => seen.Method == "HEAD"));
        Assert.True(File.Exists(Path.Combine(cache.Path, "models--org--tiny-r1", "blobs", hub.DigestOf("model.safetensors"))));
    }

    [Fact]
    public async Task Modelscopes_cache_holds_plain_files_and_writes_dots_of_names_as_its_library_does()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        Assert.Equal(Path.Combine(cache.Path, "org", "tiny-r1"), await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path, HubKind.ModelScope)));
        Assert.Equal(Path.Combine(cache["org"], "a___5"), PlainStore.ModelScope(cache.Path, null, "org/a.5", "master").Folder);
        Directory.CreateDirectory(Path.Combine(cache.Path, "org--b.5", "snapshots", "master", "x"));
        Assert.EndsWith(Path.Combine("org--b.5", "snapshots", "master"), PlainStore.ModelScope(cache.Path, null, "org/b.5", "master").Folder, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_of_modelscope_that_is_not_the_listed_one_is_downloaded_again()
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        var options = HubKit.Options(hub, cache.Path, HubKind.ModelScope);
        var config = Path.Combine(await HubKit.ResolveAsync(options), "config.json");
        var other = hub.Files["config.json"].ToArray();
        other[^2] = (byte)' ';
        await File.WriteAllBytesAsync(config, other, Token);
        HubKit.AssertIsTinyR1(await HubKit.ResolveAsync(options));
    }

    [Theory]
    [InlineData(HubKind.HuggingFace)]
    [InlineData(HubKind.ModelScope)]
    public async Task A_local_folder_gets_the_files_themselves(HubKind kind)
    {
        await using var hub = await FakeHub.StartAsync();
        using var cache = new TemporaryFolder();
        using var local = new TemporaryFolder();
        Assert.Equal(local["here"], await HubKit.ResolveAsync(HubKit.Options(hub, cache.Path, kind) with { LocalFolder = local["here"] }));
        HubKit.AssertIsTinyR1(local["here"]);
        Assert.Empty(Directory.EnumerateFileSystemEntries(cache.Path));
    }

    // Fills the cache as Python's snapshot_download does.
    private static string FillAsPython(FakeHub hub, string cache)
    {
        var storage = Path.Combine(cache, "models--org--tiny-r1");
        var folder = Directory.CreateDirectory(Path.Combine(storage, "snapshots", FakeHub.Commit)).FullName;
        Directory.CreateDirectory(Path.Combine(storage, "blobs"));
        Directory.CreateDirectory(Path.Combine(storage, "refs"));
        File.WriteAllText(Path.Combine(storage, "refs", "main"), FakeHub.Commit);
        foreach (var file in Directory.EnumerateFiles(TestPaths.TinyR1).Select(Path.GetFileName).OfType<string>())
        {
            File.WriteAllBytes(Path.Combine(storage, "blobs", hub.DigestOf(file)), hub.Files[file]);
            File.CreateSymbolicLink(Path.Combine(folder, file), "../../blobs/" + hub.DigestOf(file));
        }

        return folder;
    }
}
