using LocalLlm.Ops.Cuda;

namespace LocalLlm.Planning;

/// <summary>A kind of device to plan for, present or not.</summary>
/// <param name="Name">Such as <c>A100-80G</c>.</param>
/// <param name="MemoryBytes">The memory that a program can use.</param>
public sealed record GpuCard(string Name, long MemoryBytes)
{
    /// <summary>Bytes per second between memory and cores; null: unknown, and no times are predicted.</summary>
    public double? BytesPerSecond { get; init; }

    /// <summary>Such as 80 for Ampere; null: unknown.</summary>
    public int? ComputeCapability { get; init; }

    /// <summary>The types that this build computes in on this card, as readable text.</summary>
    public string Types => this switch
    {
        { ComputeCapability: < BFloat16Capability } => "float32, float16",
        { ComputeCapability: Float8Capability } => "float32, float16, bfloat16, float8",
        _ => "float32, float16, bfloat16",
    };

    /// <summary>Whether it computes in bfloat16.</summary>
    public bool HasBFloat16 => ComputeCapability is null or >= BFloat16Capability;

    /// <summary>
    /// Whether this build multiplies 8-bit floats by 8-bit floats on this card. Its kernels do so only on Hopper, even though newer cards
    /// could too. Elsewhere weights stay 8-bit floats and are widened when they are multiplied. True where the capability is unknown.
    /// </summary>
    public bool HasFloat8 => ComputeCapability is null or Float8Capability;

    /// <summary>Whether it is a CPU, whose memory the host application shares.</summary>
    internal bool IsCpu { get; init; }

    /// <summary>Memory of a placeholder device, for plans in which only the number of devices counts.</summary>
    internal const long UnlimitedBytes = 1L << 60;

    private const int BFloat16Capability = 80;
    private const int Float8Capability = CudaDevice.Hopper;
}
