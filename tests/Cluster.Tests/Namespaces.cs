using Xunit;

namespace LocalLlm.Cluster.Tests;

/// <summary>Two network namespaces as hosts, joined by a virtual cable; skips the test where namespaces are not permitted.</summary>
internal sealed class Namespaces : IAsyncDisposable
{
    private readonly string _suffix = $"{Environment.ProcessId % 10000}{Random.Shared.Next(10)}";

    public string Address => "10.77.31.1";

    /// <summary>The command words that start a program on a host.</summary>
    public string[] On(int host) => ["ip", "netns", "exec", $"ll{_suffix}{host}"];

    public static async Task<Namespaces> CreateAsync()
    {
        var hosts = new Namespaces();
        foreach (var line in (string[])[
            "netns add ll{0}0", "netns add ll{0}1", "link add lv{0}0 netns ll{0}0 type veth peer name lv{0}1 netns ll{0}1",
            "-n ll{0}0 addr add 10.77.31.1/24 dev lv{0}0", "-n ll{0}1 addr add 10.77.31.2/24 dev lv{0}1",
            "-n ll{0}0 link set lo up", "-n ll{0}1 link set lo up", "-n ll{0}0 link set lv{0}0 up", "-n ll{0}1 link set lv{0}1 up"])
        {
            var (exitCode, output) = await hosts.IpAsync(line);
            if (exitCode == 0)
                continue;
            await hosts.DisposeAsync();
            Assert.Skip($"network namespaces are not permitted here: {output.Trim()}");
        }

        return hosts;
    }

    /// <summary>Pulls the cable.</summary>
    public async Task CutAsync() => Assert.Equal(0, (await IpAsync("-n ll{0}1 link set lv{0}1 down")).ExitCode);

    public async ValueTask DisposeAsync()
    {
        await IpAsync("netns del ll{0}0");
        await IpAsync("netns del ll{0}1");
    }

    private Task<(int ExitCode, string Output)> IpAsync(string line) => Shell.RunAsync("ip", line.Replace("{0}", _suffix, StringComparison.Ordinal).Split(' '));
}
