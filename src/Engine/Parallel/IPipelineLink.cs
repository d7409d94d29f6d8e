using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>
/// Connects a rank with the one of the same tensor rank in another stage, in one direction: an earlier stage sends the residual stream to
/// the one after it, the last one the ids that it samples to the first. Steps come in the same order on all stages. One thread calls all
/// methods but <see cref="Abort"/>; a device works on its own stream.
/// </summary>
internal interface IPipelineLink : IDisposable
{
    /// <summary>Passes rows on; returns before the other stage has received them.</summary>
    /// <param name="hidden">[rows, width], contiguous; it is not changed, and may be disposed afterwards.</param>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    void Send(Tensor hidden);

    /// <summary>Waits for rows.</summary>
    /// <param name="tokens">Number of rows.</param>
    /// <param name="width">Elements of a row.</param>
    /// <param name="type">Of the elements.</param>
    /// <returns>[rows, width] on this rank's device, of the current dispose scope; the caller may overwrite it.</returns>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    Tensor Receive(long tokens, long width, ScalarType type);

    /// <inheritdoc cref="ICollectives.Abort"/>
    void Abort(Exception reason);
}
