namespace LocalLlm.Tool.Serving;

/// <summary>The role of a process of <c>serve</c>.</summary>
internal enum ServeRole
{
    /// <summary>Serves HTTP and runs the engine loop.</summary>
    Server,

    /// <summary>Computes for node 0: a node of rank above 0.</summary>
    Node,

    /// <summary>Computes for the server's process, which started it: one rank.</summary>
    Rank,

    /// <summary>Computes for the server's process: one rank, started by the user's mpirun.</summary>
    MpiRank,

    /// <summary>Like <see cref="MpiRank"/>; this rank also starts the server's process.</summary>
    FirstMpiRank,
}
