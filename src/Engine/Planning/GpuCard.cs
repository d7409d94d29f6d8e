using LocalLlm.Ops.Cuda;

namespace LocalLlm.Planning;

/// <summary>A kind of device that a plan is made for, whether or not there is one.</summary>
/// <param name="Name">Such as <c>A100-80G</c>.</param>
/// <param name="MemoryBytes">What a program finds of its memory.</param>
public sealed record GpuCard(string Name, long MemoryBytes)
{
    /// <summary>Bytes a second between memory and cores; null: not known, so that no times are predicted.</summary>
    public double? BytesPerSecond { get; init; }

    /// <summary>Such as 80 for Ampere; null: not known.</summary>
    public int? ComputeCapability { get; init; }

    /// <summary>The types that this build computes in on it, for people.</summary>
    public string Types => this switch
    {
        { ComputeCapability: < BFloat16Capability } => "float32, float16",
        { ComputeCapability: Float8Capability } => "float32, float16, bfloat16, float8",
        _ => "float32, float16, bfloat16",
    };

    /// <summary>Whether it computes in bfloat16.</summary>
    public bool HasBFloat16 => ComputeCapability is null or >= BFloat16Capability;

    /// <summary>
    /// Whether this build multiplies 8-bit floats by 8-bit floats on it, which its kernels do on Hopper alone, whatever newer cards can;
    /// elsewhere weights stay 8-bit floats and are widened when they multiply. True where the capability is not known.
    /// </summary>
    public bool HasFloat8 => ComputeCapability is null or Float8Capability;

    /// <summary>Whether it is a CPU, whose memory the host application shares.</summary>
    internal bool IsCpu { get; init; }

    /// <summary>Memory of a device of which only the number counts.</summary>
    internal const long UnlimitedBytes = 1L << 60;

    private const int BFloat16Capability = 80;
    private const int Float8Capability = CudaDevice.Hopper;
}
