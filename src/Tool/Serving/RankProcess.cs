using System.Diagnostics;
using System.Globalization;
using LocalLlm.Cluster;

namespace LocalLlm.Tool.Serving;

/// <summary>
/// What one process of <c>serve</c> passes, through the environment, to another one that it starts. All of them run the same command line.
/// </summary>
/// <param name="Role">The role of the process.</param>
/// <param name="Rank">Its rank, unless mpirun sets it.</param>
/// <param name="Port">Where the server's process listens for the ranks.</param>
internal sealed record RankProcess(ServeRole Role, int Rank, int Port)
{
    /// <summary>The secret.</summary>
    public const string TokenVariable = "LOCALLLM_CLUSTER_TOKEN";

    private const string RoleVariable = "LOCALLLM_SERVE_ROLE";
    private const string RankVariable = "LOCALLLM_SERVE_RANK";
    private const string PortVariable = "LOCALLLM_SERVE_PORT";

    // Variables that would make the server's process one of mpirun's processes again.
    private static readonly string[] LauncherPrefixes = ["OMPI_", "PMIX_", "PRTE_", "ORTE_"];

    /// <summary>The values for this process; null: a person or a launcher started it.</summary>
    public static RankProcess? Find(Func<string, string?> variable) => Enum.TryParse<ServeRole>(variable(RoleVariable), out var role)
        ? new(role, NodeLaunch.Mpi(variable)?.Rank ?? Number(variable(RankVariable)), Number(variable(PortVariable)))
        : null;

    /// <summary>Applies the values to an engine's options.</summary>
    public (EngineOptions Engine, ServeRole Role) Apply(EngineOptions engine, string? masterAddress, GrpcNodeOptions trust) =>
        (engine with
        {
            DistributedExecutorBackend = "processes",
            NodeRank = Role == ServeRole.Server ? 0 : Rank,
            MasterAddress = masterAddress ?? engine.MasterAddress,
            MasterPort = Port,
            NodeTransport = options => new GrpcNodeTransport(options.MasterAddress, options.MasterPort, trust),
        }, Role);

    /// <summary>How to start this program again with the same command line.</summary>
    /// <param name="before">A launcher with its arguments; empty: none.</param>
    public ProcessStartInfo ToStart(IReadOnlyList<string> before)
    {
        var line = Environment.GetCommandLineArgs();
        var program = Environment.ProcessPath!;
        // Under the dotnet host, the first argument is the program's own library.
        IEnumerable<string> self = Path.GetFileNameWithoutExtension(program) == "dotnet" ? [program, line[0], .. line[1..]] : [program, .. line[1..]];
        string[] all = [.. before, .. self];
        var start = new ProcessStartInfo(all[0], all[1..]);
        start.Environment[RoleVariable] = Role.ToString();
        start.Environment[RankVariable] = Rank.ToString(CultureInfo.InvariantCulture);
        start.Environment[PortVariable] = Port.ToString(CultureInfo.InvariantCulture);
        if (Role == ServeRole.Server)
        {
            foreach (var name in start.Environment.Keys.Where(name => LauncherPrefixes.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal))).ToArray())
                start.Environment.Remove(name);
        }

        return start;
    }

    /// <summary>The variables that mpirun must pass on to other machines.</summary>
    public static IReadOnlyList<string> Variables => [RoleVariable, PortVariable, TokenVariable];

    private static int Number(string? text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;
}
