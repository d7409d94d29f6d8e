using System.Text.Json;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Commands;

public class DoctorTests
{
    [Fact]
    public async Task Every_check_says_what_was_found_and_what_to_do_about_what_was_not()
    {
        var run = await Cli.RunAsync("doctor", "--json");
        Assert.Equal(0, run.ExitCode);
        var checks = JsonDocument.Parse(run.Output).RootElement.EnumerateArray().ToArray();
        foreach (var name in (string[])["libtorch", "NVIDIA driver", "libtorch with CUDA", "NVRTC", "NCCL (several GPUs)"])
            Assert.Contains(checks, check => check.GetProperty("name").GetString() == name);
        foreach (var check in checks)
        {
            Assert.NotEqual("", check.GetProperty("found").GetString());
            Assert.Equal(check.GetProperty("status").GetString() == "ok", check.GetProperty("advice").GetString() == "");
        }
    }

    [Fact]
    public async Task A_gpu_that_is_asked_for_and_cannot_be_used_is_a_failure()
    {
        var report = await Cli.RunAsync("doctor", "--json");
        var usable = JsonDocument.Parse(report.Output).RootElement.EnumerateArray().Any(check => check.GetProperty("name").GetString() == "cuda:0" && check.GetProperty("status").GetString() == "ok");
        Assert.SkipWhen(usable, "this machine has a GPU");
        Assert.Equal(1, (await Cli.RunAsync("doctor", "--device", "cuda")).ExitCode);
        Assert.Equal(2, (await Cli.RunAsync("doctor", "--device", "tpu")).ExitCode);
    }

    [Fact]
    public async Task A_gpu_that_is_not_there_is_one_error_that_says_what_is_missing()
    {
        var doctor = await Cli.RunAsync("doctor", "--device", "cuda");
        Assert.SkipWhen(doctor.ExitCode == 0, "this machine has a GPU");
        var run = await Cli.RunAsync("generate", TestPaths.TinyR1, "--prompt", "a", "--device", "cuda");
        Assert.Equal(1, run.ExitCode);
        Assert.StartsWith("error: ", run.Error, StringComparison.Ordinal);
        Assert.Matches("driver|CUDA", run.Error);
        Assert.Equal(2, (await Cli.RunAsync("generate", TestPaths.TinyR1, "--prompt", "a", "--device", "cuda:x")).ExitCode);
    }
}
