using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text.Json;
using LocalLlm.Interop;
using Xunit;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// The kernels on a CPU without AVX-512. This process compares its own results with those of another process, in which .NET does not use
/// AVX-512.
/// </summary>
public sealed class NarrowVectorTests
{
    // Names the file that the other process writes its results to.
    private const string ResultsVariable = "LOCALLLM_KERNEL_RESULTS";

    [Fact]
    public void Kernels_give_the_same_bits_with_vectors_of_256_bits()
    {
        SkipWithoutWideVectors();
        var path = Path.GetTempFileName();
        try
        {
            RunNarrow([nameof(NarrowVectorTests)], path);
            var narrow = JsonSerializer.Deserialize<SortedDictionary<string, float[]>>(File.ReadAllBytes(path))!;
            TorchLibrary.EnsureLoaded();
            var wide = KernelResults.Compute();
            Assert.Equal(wide.Keys, narrow.Keys);
            foreach (var (kernel, wanted) in wide)
                Assert.True(MemoryMarshal.AsBytes<float>(wanted).SequenceEqual(MemoryMarshal.AsBytes<float>(narrow[kernel])), $"{kernel} gives other bits");
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Covers all shapes of those test classes. Results must have the same bits alone and in any batch.</summary>
    [Fact]
    public void Kernels_agree_with_the_plain_versions_with_vectors_of_256_bits()
    {
        SkipWithoutWideVectors();
        RunNarrow([nameof(CpuOpsTests), nameof(Fp8OpsTests), nameof(Float8CacheTests), nameof(LatentOpsTests), nameof(PairProductsTests)], resultsPath: null);
    }

    /// <summary>What the first test runs in another process.</summary>
    [Fact]
    public void Results_are_written_for_another_process()
    {
        if (Environment.GetEnvironmentVariable(ResultsVariable) is not { Length: > 0 } path)
        {
            Assert.Skip($"another test runs this in a process of its own, with {ResultsVariable} set");
            return;
        }

        Assert.False(Vector512.IsHardwareAccelerated, "this process uses AVX-512");
        TorchLibrary.EnsureLoaded();
        File.WriteAllBytes(path, JsonSerializer.SerializeToUtf8Bytes(KernelResults.Compute()));
    }

    private static void SkipWithoutWideVectors()
    {
        if (!Vector512.IsHardwareAccelerated)
            Assert.Skip("this process has no vectors of 512 bits that others could be held to");
    }

    private static void RunNarrow(string[] classes, string? resultsPath)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(typeof(NarrowVectorTests).Assembly.Location);
        foreach (var argument in classes.SelectMany(name => (string[])["--filter-class", $"LocalLlm.Tests.Ops.{name}"]).Concat(["--ansi", "off", "--progress", "off"]))
            start.ArgumentList.Add(argument);
        start.Environment["DOTNET_EnableAVX512"] = "0"; // .NET 10's name
        start.Environment["DOTNET_EnableAVX512F"] = "0"; // its earlier name
        start.Environment[ResultsVariable] = resultsPath ?? "";
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"exit code {process.ExitCode}: {output}{errors.Result}");
    }
}
