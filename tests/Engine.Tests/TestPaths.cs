using Xunit;

namespace LocalLlm.Tests;

/// <summary>Where the repository and the optional golden data beside it lie.</summary>
internal static class TestPaths
{
    public static string Repository { get; } = FindRepository();

    public static string TinyR1 => Path.Combine(Repository, "models", "tiny-r1");

    public static string TinyM3 => Path.Combine(Repository, "models", "tiny-m3");

    /// <summary>A path under <c>../shared</c>; skips the calling test where that folder is absent.</summary>
    public static string Shared(params string[] parts)
    {
        var path = Path.Combine([Path.GetDirectoryName(Repository)!, "shared", .. parts]);
        if (!Path.Exists(path))
            Assert.Skip($"golden data ../shared/{string.Join('/', parts)} is not beside this checkout");
        return path;
    }

    private static string FindRepository()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Connector.sln")))
                return folder;
        }

        throw new InvalidOperationException("no Connector.sln above " + AppContext.BaseDirectory);
    }
}
