using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>A device that samples tokens itself: only their ids go to the host.</summary>
internal interface ITokenSampler
{
    /// <summary>In place of a sampled id: the row has NaN or +Infinity, or all of it is -Infinity.</summary>
    const int NonFiniteRow = -1;

    /// <summary>In place of a sampled id: the row's edits allow no token.</summary>
    const int NoTokenAllowed = -2;

    /// <summary>
    /// The best token of each row, from the maxima that each rank has found in its own columns (<see cref="IDeviceOps.RowMaxima"/>). Among
    /// equals the lowest id.
    /// </summary>
    /// <param name="maxima">[ranks · rows, 2], in the order of the ranks, which is that of their columns.</param>
    /// <param name="ranks">Number of ranks.</param>
    /// <returns>[rows] int32 on the device: ids, or <see cref="NonFiniteRow"/>. Valid until the next call.</returns>
    Tensor BestOfRanks(Tensor maxima, int ranks);

    /// <summary>
    /// Starts to sample a token for each of the first rows of some logits. The ids stay on the device until the next call; inputs of the
    /// next step can refer to them (<see cref="SampledInput"/>). At most (pipeline stages + 1) samplings may be under way.
    /// </summary>
    /// <param name="logits">[rows, vocabulary], with at least as many rows as the batch; null: the batch has none.</param>
    /// <param name="batch">How each row is sampled.</param>
    /// <param name="best">
    /// [rows] the ids that <see cref="BestOfRanks"/> has chosen for all rows. The batch then replaces those of the rows in
    /// <see cref="SamplingBatch.Rows"/>. Null: the batch samples all rows, in their order.
    /// </param>
    void BeginSample(Tensor? logits, SamplingBatch batch, Tensor? best = null);

    /// <summary>
    /// Waits for the oldest sampling under way. Writes one id per row, or <see cref="NonFiniteRow"/> or <see cref="NoTokenAllowed"/>.
    /// </summary>
    void EndSample(Span<int> ids);

    /// <summary>
    /// The ids of the latest <see cref="BeginSample"/>: int32 [rows, 1] on the device, negative where there is no token. Valid until the
    /// next sampling.
    /// </summary>
    /// <param name="rows">Number of sampled rows.</param>
    Tensor Sampled(int rows);

    /// <summary>Allocates room for the ids of this many rows, which does not move after that. Not while a sampling is under way.</summary>
    void Reserve(int rows);

    /// <summary>
    /// Keeps ids that another device has sampled, until other ids overwrite them. Inputs can refer to them (<see cref="SampledInput"/>).
    /// </summary>
    /// <param name="ids">int32 [rows, 1] on this device.</param>
    /// <param name="firstRow">The row that the first id takes; <see cref="Reserve"/> has made room.</param>
    void Keep(Tensor ids, int firstRow);
}
