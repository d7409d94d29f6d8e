namespace LocalLlm.Tool.Serving;

/// <summary>What a process of <c>serve</c> does.</summary>
internal enum ServeRole
{
    /// <summary>Serves HTTP, with the engine loop.</summary>
    Server,

    /// <summary>Computes for node 0: a node of rank above 0.</summary>
    Node,

    /// <summary>Computes for the server's process, which has started it: one rank.</summary>
    Rank,

    /// <summary>Computes for the server's process: one rank that the user's mpirun has started.</summary>
    MpiRank,

    /// <summary>As <see cref="MpiRank"/>; it is the one that starts the server's process.</summary>
    FirstMpiRank,
}
