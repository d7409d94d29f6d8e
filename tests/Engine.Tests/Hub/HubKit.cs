using LocalLlm.Hub;
using Xunit;

namespace LocalLlm.Tests.Hub;

/// <summary>Resolves against a <see cref="FakeHub"/> without waiting and without this process's environment.</summary>
internal static class HubKit
{
    public static HubOptions Options(FakeHub hub, string cache, HubKind kind = HubKind.HuggingFace) => new()
    {
        Hub = kind,
        Endpoint = hub.Endpoint,
        CacheFolder = cache,
        Time = new ImpatientTime(),
        MinRangeBytes = 1 << 20,
    };

    public static Task<string> ResolveAsync(HubOptions options, IProgress<DownloadProgress>? progress = null, string model = FakeHub.Repository) =>
        ModelHub.ResolveAsync(ModelReference.Parse(model), options, progress, TestContext.Current.CancellationToken);

    public static async Task<EngineException> FailAsync(HubOptions options, string model = FakeHub.Repository) =>
        await Assert.ThrowsAsync<EngineException>(() => ResolveAsync(options, model: model));

    /// <summary>Checks that the folder holds the repository's model, file for file.</summary>
    public static void AssertIsTinyR1(string folder)
    {
        foreach (var file in Directory.EnumerateFiles(TestPaths.TinyR1))
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(folder, Path.GetFileName(file))));
    }

    /// <summary>All reports, in order.</summary>
    internal sealed class Reports : List<DownloadProgress>, IProgress<DownloadProgress>
    {
        public void Report(DownloadProgress value) => Add(value);
    }

    /// <summary>A clock whose waits end at once. It records how long they were to be.</summary>
    internal sealed class ImpatientTime : TimeProvider
    {
        public List<TimeSpan> Waits { get; } = [];

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            lock (Waits)
                Waits.Add(dueTime);
            return System.CreateTimer(callback, state, TimeSpan.Zero, period);
        }
    }
}
