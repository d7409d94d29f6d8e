using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>
/// Moves weights to a device. Many threads fill buffers on the host, and buffers are copied to the device while others are filled. All
/// members except <see cref="Buffer"/> belong to the executor's thread.
/// </summary>
internal interface IWeightStaging : IDisposable
{
    /// <summary>Number of buffers, at least 2: one is filled while another is copied to the device.</summary>
    int Buffers { get; }

    /// <summary>Bytes of each buffer.</summary>
    int BufferBytes { get; }

    /// <summary>A buffer's memory.</summary>
    Span<byte> Buffer(int index);

    /// <summary>Creates an uninitialised tensor on the device, in the current dispose scope.</summary>
    Tensor Allocate(long[] shape, ScalarType type);

    /// <summary>Starts copying the first bytes of a buffer to a position in a tensor.</summary>
    /// <param name="index">The buffer.</param>
    /// <param name="bytes">Number of bytes.</param>
    /// <param name="target">A tensor of <see cref="Allocate"/>.</param>
    /// <param name="offset">Bytes from the tensor's first element.</param>
    void Send(int index, int bytes, Tensor target, long offset);

    /// <summary>Waits until the buffer may be filled again.</summary>
    void WaitSent(int index);
}
