using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace LocalLlm.Cluster.Tests;

/// <summary>
/// Kills or stops processes, or cuts the cable, at random moments under the load of eight clients. Every caller must get an error, the
/// server must end, and no process may be left. <c>eng/test-faults.sh</c> runs it.
/// </summary>
public class FaultCampaign
{
    private const int Clients = 8;
    private const string Variable = "LOCALLLM_FAULTS";
    private static readonly TimeSpan ExitTime = TimeSpan.FromSeconds(10);
    private static readonly string[] Layouts = ["2 nodes", "processes, PP 2", "processes, TP 2", "mpirun, TP 2"];
    private static readonly string[] Faults = ["kill a rank", "stop a rank", "cut the cable", "kill the server"];

    [Fact]
    public async Task The_table_of_exits_holds_each_time()
    {
        var wanted = Environment.GetEnvironmentVariable(Variable);
        Assert.SkipWhen(wanted is null, $"takes minutes: eng/test-faults.sh, or {Variable}=50");
        var seed = Environment.TickCount;
        var random = new Random(seed);
        Report($"seed {seed}");
        Report($"{"#",3} {"layout",-16} {"fault",-16} {"after ms",8} {"known ms",8} {"exit s",7} {"code",4} {"left",4}  clients");
        var failures = new List<string>();
        for (var i = 0; i < int.Parse(wanted, CultureInfo.InvariantCulture); i++)
        {
            var layout = Layouts[i % Layouts.Length];
            var fault = Faults[random.Next(Faults.Length)];
            // Only nodes have a cable between them. After the server is killed, no server is left to ask.
            if (fault == "cut the cable" && layout != "2 nodes")
                fault = "kill a rank";
            var line = await RunAsync(layout, fault, random.Next(20, 1500));
            Report($"{i + 1,3} {line.Text}");
            if (line.Fault is { } wrong)
                failures.Add($"{i + 1}: {wrong}");
        }

        Assert.Empty(failures);
    }

    private static async Task<(string Text, string? Fault)> RunAsync(string layout, string fault, int delay)
    {
        await using var hosts = layout == "2 nodes" ? await Namespaces.CreateAsync() : null;
        var all = Start(layout, hosts);
        await using var server = all[0];
        await using var node = all.Count > 1 ? all[1] : null;
        await server.ReadyAsync();
        var (front, ranks) = Roles(layout, server, node);
        var clients = Enumerable.Range(0, Clients).Select(i => LoadAsync(server, i)).ToArray();
        await Task.Delay(delay);
        var begin = Stopwatch.GetTimestamp();
        switch (fault)
        {
            case "kill a rank":
                await ServeProcess.SignalAsync("KILL", ranks[delay % ranks.Length]);
                break;
            case "stop a rank":
                await ServeProcess.SignalAsync("STOP", ranks[delay % ranks.Length]);
                break;
            case "cut the cable":
                await hosts!.CutAsync();
                break;
            default:
                await ServeProcess.SignalAsync("KILL", front);
                break;
        }

        var ends = (await Task.WhenAll(clients)).SelectMany(end => end).ToArray();
        var known = Stopwatch.GetElapsedTime(begin);
        while (Alive(front) && Stopwatch.GetElapsedTime(begin) < TimeSpan.FromSeconds(40))
            await Task.Delay(20);
        var exit = Stopwatch.GetElapsedTime(begin);
        var code = await server.ExitAsync(TimeSpan.FromSeconds(30));
        // A stopped process of another node cannot end by itself; its own supervisor ends it.
        var left = await LeftAsync(server, node, fault, ranks);
        var counts = string.Join(", ", ends.GroupBy(end => end).OrderBy(group => group.Key, StringComparer.Ordinal).Select(group => $"{group.Key} {group.Count()}"));
        var text = string.Create(CultureInfo.InvariantCulture, $"{layout,-16} {fault,-16} {delay,8} {known.TotalMilliseconds,8:F0} {exit.TotalSeconds,7:F1} {code,4} {left,4}  {counts}");
        var isServerKilled = fault == "kill the server";
        var limit = fault is "stop a rank" or "cut the cable" ? TimeSpan.FromSeconds(6) : TimeSpan.FromSeconds(2);
        var wrong = (ends.Contains("cut") && !isServerKilled) ? "a client's response ended without a word"
            : known > limit ? $"known after {known}" : exit > limit + ExitTime ? $"the server was there after {exit}"
            : left > 0 ? $"{left} processes are left" : !isServerKilled && layout != "mpirun, TP 2" && code != 70 ? $"exit code {code}" : null;
        return (text, wrong is null ? null : $"{text}: {wrong}\n{server.Output}");
    }

    // Sends requests until one fails; returns how each ended.
    private static async Task<List<string>> LoadAsync(ServeProcess server, int client)
    {
        var ends = new List<string>();
        for (var i = 0; ends is [] or [.., "complete"]; i++)
            ends.Add(await server.StreamAsync($"Client {client}, request {i}", 40 + (60 * client)));
        return ends;
    }

    private static List<ServeProcess> Start(string layout, Namespaces? hosts) => layout switch
    {
        "2 nodes" => [Node(0, hosts!), Node(1, hosts!)],
        "processes, PP 2" => [ServeProcess.Start([], "--distributed-executor-backend", "processes", "-pp", "2", "--step-timeout", "5", "--node-heartbeat", "1")],
        "processes, TP 2" => [ServeProcess.Start([], "--distributed-executor-backend", "processes", "-tp", "2", "--step-timeout", "5", "--node-heartbeat", "1")],
        _ => [ServeProcess.Start(Mpirun.Line(2, []), "-tp", "2", "--step-timeout", "5", "--node-heartbeat", "1", "--master-port", $"{Replica.FreePort()}")],
    };

    private static ServeProcess Node(int rank, Namespaces hosts) => ServeProcess.Start(
        hosts.On(rank), "-pp", "2", "--nnodes", "2", "--node-rank", $"{rank}", "--master-addr", hosts.Address, "--cluster-token", "of the test", "--step-timeout", "5", "--node-heartbeat", "1");

    private static (int Front, int[] Ranks) Roles(string layout, ServeProcess server, ServeProcess? node)
    {
        var programs = server.Programs();
        if (node is not null)
            return (server.Id, [node.Id]);
        // Under mpirun the server's process leads a session of its own.
        var front = layout == "mpirun, TP 2" ? programs.First(id => SessionOf(id) == id) : server.Id;
        return (front, [.. programs.Where(id => id != front)]);
    }

    private static async Task<int> LeftAsync(ServeProcess server, ServeProcess? node, string fault, int[] ranks)
    {
        var begin = Stopwatch.GetTimestamp();
        while (true)
        {
            var left = server.Processes().Concat(node?.Processes() ?? []).Where(id => fault != "stop a rank" || !ranks.Contains(id) || node is null).ToArray();
            if (left.Length == 0 || Stopwatch.GetElapsedTime(begin) > ExitTime)
                return left.Length;
            await Task.Delay(50);
        }
    }

    private static bool Alive(int process)
    {
        try
        {
            return !File.ReadAllText($"/proc/{process}/stat").Contains(") Z ", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false; // the process ended, perhaps during this check
        }
    }

    // The sixth field, after the name in brackets: state, parent, group, session.
    private static int SessionOf(int process)
    {
        var stat = File.ReadAllText($"/proc/{process}/stat");
        return int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[3], CultureInfo.InvariantCulture);
    }

    private static void Report(string line)
    {
        TestContext.Current.SendDiagnosticMessage(line);
        if (Environment.GetEnvironmentVariable("LOCALLLM_FAULTS_TABLE") is { } file)
            File.AppendAllText(file, line + "\n");
    }
}
