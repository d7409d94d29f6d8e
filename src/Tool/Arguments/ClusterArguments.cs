using System.CommandLine;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using LocalLlm.Cluster;
using LocalLlm.Tool.Serving;

namespace LocalLlm.Tool.Arguments;

/// <summary>The options of <c>serve</c> for several hosts and several processes.</summary>
internal sealed class ClusterArguments
{
    private const string TokenVariable = RankProcess.TokenVariable;
    private const string Processes = "processes";

    private readonly Option<string?> _backend = Options.Text(
        "--distributed-executor-backend",
        "What runs the ranks of this machine: threads (default; vLLM's uni and mp), or processes (one for each rank: on CPUs by Open MPI where -tp is above 1, on GPUs by NCCL).",
        "NAME");
    private readonly Option<int?> _nodes = Options.Count("--nnodes", "Machines that the ranks are spread over; default 1, or what LeaderWorkerSet or Slurm says.", "-n");
    private readonly Option<int?> _nodeRank = Options.Count("--node-rank", "Which of them this is, from 0; node 0 serves, the others compute for it.", "-r");
    private readonly Option<string?> _masterAddress = Options.Text("--master-addr", "The name or address of node 0, the same on all nodes; only there it listens for them.", "HOST");
    private readonly Option<int?> _masterPort = Options.Count("--master-port", "The port that node 0 listens on for the other nodes; default 29501.");
    private readonly Option<bool> _headless = Options.Flag("--headless", "Says that this node serves no HTTP, as no node of rank above 0 does.");
    private readonly Option<string?> _token = Options.Text("--cluster-token", $"A secret that all nodes share; better in a file, or in {TokenVariable}. (Not an option of vLLM's.)", "TEXT");
    private readonly Option<string?> _tokenFile = Options.Text("--cluster-token-file", "A file with the secret that all nodes share. (Not an option of vLLM's.)", "FILE");
    private readonly Option<string?> _certificate = Options.Text("--cluster-certfile", "This node's certificate (PEM), for mutual TLS between the nodes. (Not an option of vLLM's.)", "FILE");
    private readonly Option<string?> _key = Options.Text("--cluster-keyfile", "Its private key (PEM). (Not an option of vLLM's.)", "FILE");
    private readonly Option<string?> _authorities = Options.Text("--cluster-ca-certs", "The authorities (PEM) that have signed the nodes' certificates. (Not an option of vLLM's.)", "FILE");
    private readonly Option<double?> _joinTimeout = Options.Number("--node-join-timeout", "Seconds that nodes wait for one another at the start; default 600. (Not an option of vLLM's.)");
    private readonly Option<double?> _heartbeat = Options.Number("--node-heartbeat", "Seconds between two signs of life of a node; three may be missed; default 1. (Not an option of vLLM's.)");

    /// <summary>Adds every option to <paramref name="command"/>.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _backend, _nodes, _nodeRank, _masterAddress, _masterPort, _headless, _token, _tokenFile, _certificate, _key, _authorities, _joinTimeout, _heartbeat })
            command.Add(option);
    }

    /// <summary>Adds the settings of nodes and processes to an engine's options.</summary>
    /// <returns>The options, and the role of this process.</returns>
    /// <exception cref="UsageException">Two settings contradict each other, or a file cannot be read.</exception>
    public (EngineOptions Engine, ServeRole Role) Complete(EngineOptions engine, ParseResult result, Func<string, string?> variable)
    {
        var defaults = new EngineOptions();
        engine = engine with
        {
            DistributedExecutorBackend = BackendOf(result),
            MasterPort = result.GetValue(_masterPort) ?? defaults.MasterPort,
            NodeJoinTimeout = Seconds(result, _joinTimeout) ?? defaults.NodeJoinTimeout,
            NodeHeartbeat = Seconds(result, _heartbeat) ?? defaults.NodeHeartbeat,
        };
        if (RankProcess.Find(variable) is { } started)
            return started.Apply(engine, result.GetValue(_masterAddress), TrustOf(result, variable));
        if (NodeLaunch.Mpi(variable) is var (rank, size))
            return (UnderMpi(engine, result, rank, size, TrustOf(result, variable)), rank == 0 ? ServeRole.FirstMpiRank : ServeRole.MpiRank);
        var launch = NodeLaunch.Resolve(result.GetValue(_nodes), result.GetValue(_nodeRank), result.GetValue(_masterAddress), variable);
        if (result.GetValue(_headless) && launch.NodeRank == 0)
            throw new UsageException("--headless is given, but this is node 0, which serves HTTP; give the other nodes --node-rank 1 and so on");
        if (engine.DistributedExecutorBackend == Processes)
        {
            if (launch.Nodes > 1)
                throw new UsageException("--distributed-executor-backend processes runs on one machine; over several use threads, or on CPUs start one process for each rank with mpirun");
            return (RankProcesses.Serve(engine), ServeRole.Server);
        }

        var trust = launch.Nodes > 1 ? TrustOf(result, variable) : new();
        engine = engine with
        {
            Nodes = launch.Nodes,
            NodeRank = launch.NodeRank,
            MasterAddress = launch.MasterAddress ?? defaults.MasterAddress,
            NodeTransport = options => new GrpcNodeTransport(options.MasterAddress, options.MasterPort, trust),
        };
        return (engine, launch.NodeRank > 0 ? ServeRole.Node : ServeRole.Server);
    }

    // One process per rank, placed by mpirun on one machine or several.
    private EngineOptions UnderMpi(EngineOptions engine, ParseResult result, int rank, int size, GrpcNodeOptions trust)
    {
        if (result.GetValue(_nodes) is > 1 || result.GetValue(_nodeRank) is not null)
            throw new UsageException("--nnodes and --node-rank have no meaning under mpirun, which starts a process for each rank on whatever machine; leave them out, or start each node without mpirun");
        if (size != (long)engine.TensorParallel * engine.PipelineParallel)
            throw new UsageException($"mpirun has started {size} processes, but --tensor-parallel-size {engine.TensorParallel} x --pipeline-parallel-size {engine.PipelineParallel} are {(long)engine.TensorParallel * engine.PipelineParallel} ranks; start as many processes as ranks");
        return engine with
        {
            DistributedExecutorBackend = Processes,
            NodeRank = rank,
            MasterAddress = result.GetValue(_masterAddress) ?? engine.MasterAddress,
            NodeTransport = options => new GrpcNodeTransport(options.MasterAddress, options.MasterPort, trust),
        };
    }

    private string BackendOf(ParseResult result) => result.GetValue(_backend) switch
    {
        // vLLM's worker processes on one node are threads here.
        null or "uni" or "auto" or "mp" => "auto",
        "threads" => "threads",
        Processes => Processes,
        var other => throw new UsageException($"--distributed-executor-backend: '{other}' is not available; allowed: threads (uni, mp), processes"),
    };

    private GrpcNodeOptions TrustOf(ParseResult result, Func<string, string?> variable)
    {
        var (token, file) = (result.GetValue(_token), result.GetValue(_tokenFile));
        if (token is not null && file is not null)
            throw new UsageException("--cluster-token and --cluster-token-file are both given; give one of them");
        token ??= file is null ? variable(TokenVariable) : Read("--cluster-token-file", file, File.ReadAllText).Trim();
        if (token is { Length: 0 } && file is not null)
            throw new UsageException($"--cluster-token-file: {file} is empty; write the nodes' secret into it");
        var (certificate, key, authorities) = (result.GetValue(_certificate), result.GetValue(_key), result.GetValue(_authorities));
        if ((certificate is null) != (authorities is null) || (key is not null && certificate is null))
            throw new UsageException("--cluster-certfile and --cluster-ca-certs (and --cluster-keyfile) belong together; give both, or neither");
        return new()
        {
            Token = string.IsNullOrEmpty(token) ? null : token,
            Certificate = certificate is null ? null : Read("--cluster-certfile", certificate, path => X509Certificate2.CreateFromPemFile(path, key)),
            Authorities = authorities is null ? null : Read("--cluster-ca-certs", authorities, path =>
            {
                var all = new X509Certificate2Collection();
                all.ImportFromPemFile(path);
                return all;
            }),
        };
    }

    private static T Read<T>(string option, string path, Func<string, T> read)
    {
        try
        {
            return read(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new UsageException($"{option}: {path} cannot be read: {failure.Message}");
        }
    }

    private static TimeSpan? Seconds(ParseResult result, Option<double?> option) => result.GetValue(option) switch
    {
        null => null,
        > 0 and <= int.MaxValue / 1000 and { } seconds => TimeSpan.FromSeconds(seconds),
        var other => throw new UsageException($"{option.Name}: {other} is out of range; allowed: above 0, at most 24 days in seconds"),
    };
}
