using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>A device that chooses tokens by itself, so that only their ids cross to the host.</summary>
internal interface ITokenSampler
{
    /// <summary>In place of a sampled id: the row has NaN, +Infinity or nothing but -Infinity.</summary>
    const int NonFiniteRow = -1;

    /// <summary>In place of a sampled id: edits have left no token.</summary>
    const int NoTokenAllowed = -2;

    /// <summary>
    /// Starts to choose a token for each of the first rows of some logits. The ids stay on the device, where inputs of the next step
    /// can name them (<see cref="SampledInput"/>), until the next call. At most two may be under way.
    /// </summary>
    void BeginSample(Tensor logits, SamplingBatch batch);

    /// <summary>
    /// Waits for the oldest sampling under way; one id per row, or <see cref="NonFiniteRow"/> or <see cref="NoTokenAllowed"/>.
    /// </summary>
    void EndSample(Span<int> ids);
}
