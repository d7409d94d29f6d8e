using System.Globalization;

namespace LocalLlm.Execution.Cluster;

/// <summary>What Open MPI's mpirun tells the processes that it starts.</summary>
/// <param name="Rank">This one, from 0.</param>
/// <param name="Size">All of them.</param>
/// <param name="LocalSize">Those on this host.</param>
internal sealed record MpiLaunch(int Rank, int Size, int LocalSize)
{
    /// <summary>Null: this process was not started by mpirun.</summary>
    public static MpiLaunch? Find() =>
        Number("OMPI_COMM_WORLD_RANK") is { } rank && Number("OMPI_COMM_WORLD_SIZE") is { } size
            ? new(rank, size, Math.Max(1, Number("OMPI_COMM_WORLD_LOCAL_SIZE") ?? 1)) : null;

    private static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
}
