using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>
/// A one-way connection between ranks with the same tensor rank in two stages. Each stage sends the residual stream to the next one, and
/// the last stage sends the ids that it samples to the first. Steps come in the same order on all stages. One thread calls all methods
/// except <see cref="Abort"/>; a device works on its own stream.
/// </summary>
internal interface IPipelineLink : IDisposable
{
    /// <summary>Sends rows; returns before the other stage has received them.</summary>
    /// <param name="hidden">[rows, width], contiguous; it is not changed, and the caller may dispose it after the call.</param>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    void Send(Tensor hidden);

    /// <summary>Waits for rows.</summary>
    /// <param name="tokens">Number of rows.</param>
    /// <param name="width">Number of elements of a row.</param>
    /// <param name="type">Element type.</param>
    /// <returns>[rows, width] on this rank's device, of the current dispose scope; the caller may overwrite it.</returns>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    Tensor Receive(long tokens, long width, ScalarType type);

    /// <inheritdoc cref="ICollectives.Abort"/>
    void Abort(Exception reason);
}
