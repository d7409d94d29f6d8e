using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>
/// A device's way for weights: buffers of the host that many threads fill, and copies out of them that go on while others are filled. All
/// members but <see cref="Buffer"/> belong to the executor's thread.
/// </summary>
internal interface IWeightStaging : IDisposable
{
    /// <summary>Number of buffers, at least 2: one is filled while the copy out of another is under way.</summary>
    int Buffers { get; }

    /// <summary>Bytes of each.</summary>
    int BufferBytes { get; }

    /// <summary>A buffer's memory.</summary>
    Span<byte> Buffer(int index);

    /// <summary>An uninitialised tensor on the device, of the current dispose scope.</summary>
    Tensor Allocate(long[] shape, ScalarType type);

    /// <summary>Starts to copy the first bytes of a buffer to a place in a tensor.</summary>
    /// <param name="index">The buffer.</param>
    /// <param name="bytes">How many.</param>
    /// <param name="target">A tensor of <see cref="Allocate"/>.</param>
    /// <param name="offset">Bytes from its first element.</param>
    void Send(int index, int bytes, Tensor target, long offset);

    /// <summary>Returns when the buffer may be filled again.</summary>
    void WaitSent(int index);
}
