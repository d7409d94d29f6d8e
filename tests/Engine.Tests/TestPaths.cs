using Xunit;

namespace LocalLlm.Tests;

/// <summary>
/// Paths of the repository and of the reference data. Most of that data is in the repository; its owners keep the rest beside it.
/// </summary>
internal static class TestPaths
{
    public static string Repository { get; } = FindRepository();

    public static string TinyR1 => Path.Combine(Repository, "models", "tiny-r1");

    public static string TinyM3 => Path.Combine(Repository, "models", "tiny-m3");

    /// <summary>
    /// A path of reference data: in <c>models</c>, <c>tests/goldens</c> or <c>tests/data</c> of the repository, else under
    /// <c>../shared</c>. Skips the calling test if the path is absent.
    /// </summary>
    public static string Shared(params string[] parts)
    {
        var own = Path.Combine([Repository, .. parts[0] is "goldens" or "data" ? ["tests"] : Array.Empty<string>(), .. parts]);
        if (Path.Exists(own))
            return own;
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
