using LocalLlm.Ops;
using Xunit;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// There are as many threads as cores that the process may use: this respects affinity and the quotas of both versions of control groups,
/// and counts the hardware threads of a core once.
/// </summary>
public sealed class HostCoresTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("localllm-cores-").FullName;

    [Theory]
    [InlineData("0-7", 1, 8)]
    [InlineData("0-7", 2, 4)]
    [InlineData("0-3,6", 2, 3)] // both threads of two cores, and one of a third
    [InlineData("1,3,5,7", 2, 4)] // one thread of each core
    [InlineData("5", 2, 1)]
    public void Cores_that_the_process_may_run_on_count_once(string allowed, int threadsPerCore, int wanted)
    {
        WriteCpus(allowed, threadsPerCore);
        Assert.Equal(wanted, HostCores.CountBelow(_root));
    }

    [Theory]
    [InlineData("max 100000", 8)]
    [InlineData("400000 100000", 4)]
    [InlineData("250000 100000", 2)] // a third thread would wait for its turn half of the time
    [InlineData("50000 100000", 1)]
    [InlineData("9900000 100000", 8)]
    [InlineData("nonsense", 8)]
    public void A_quota_of_the_second_version_limits_them(string quota, int wanted)
    {
        WriteCpus("0-7", 1);
        Write("proc/self/cgroup", "0::/kubepods/pod1/box");
        Write("sys/fs/cgroup/kubepods/pod1/cpu.max", quota);
        Write("sys/fs/cgroup/kubepods/pod1/box/cpu.max", "max 100000");
        Assert.Equal(wanted, HostCores.CountBelow(_root));
    }

    [Fact]
    public void A_container_finds_its_own_group_at_the_mount()
    {
        WriteCpus("0-7", 1);
        Write("proc/self/cgroup", "0::/../../some/path/of/the/host");
        Write("sys/fs/cgroup/cpu.max", "300000 100000");
        Assert.Equal(3, HostCores.CountBelow(_root));
    }

    [Theory]
    [InlineData("cpu", "-1", 8)]
    [InlineData("cpu", "200000", 2)]
    [InlineData("cpu,cpuacct", "300000", 3)]
    public void A_quota_of_the_first_version_limits_them(string controllers, string quota, int wanted)
    {
        WriteCpus("0-7", 1);
        Write("proc/self/cgroup", $"9:memory:/x\n2:{controllers}:/docker/1\n0::/");
        Write($"sys/fs/cgroup/{controllers}/docker/1/cpu.cfs_quota_us", quota);
        Write($"sys/fs/cgroup/{controllers}/docker/1/cpu.cfs_period_us", "100000");
        Assert.Equal(wanted, HostCores.CountBelow(_root));
    }

    [Fact]
    public void This_process_has_at_least_one() => Assert.InRange(HostCores.Count, 1, Environment.ProcessorCount);

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private void WriteCpus(string allowed, int threadsPerCore)
    {
        Write("proc/self/status", $"Name:\tlocalllm\nCpus_allowed:\tff\nCpus_allowed_list:\t{allowed}\n");
        for (var cpu = 0; cpu < 8; cpu++)
        {
            var first = cpu / threadsPerCore * threadsPerCore;
            Write($"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", threadsPerCore == 1 ? $"{cpu}" : $"{first}-{first + threadsPerCore - 1}");
        }
    }

    private void Write(string path, string text)
    {
        var whole = Path.Combine(_root, path);
        Directory.CreateDirectory(Path.GetDirectoryName(whole)!);
        File.WriteAllText(whole, text);
    }
}
