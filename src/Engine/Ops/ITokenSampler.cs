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
    /// The best token of each row, of what ranks that hold some columns each have found (<see cref="IDeviceOps.RowMaxima"/>): the lowest id
    /// among equals.
    /// </summary>
    /// <param name="maxima">[ranks · rows, 2], in the order of the ranks and so of their columns.</param>
    /// <param name="ranks">Number of ranks.</param>
    /// <returns>[rows] int32 on the device: ids, or <see cref="NonFiniteRow"/>. Valid until the next call.</returns>
    Tensor BestOfRanks(Tensor maxima, int ranks);

    /// <summary>
    /// Starts to choose a token for each of the first rows of some logits. The ids stay on the device, where inputs of the next step
    /// can name them (<see cref="SampledInput"/>), until the next call. At most one more may be under way than there are pipeline stages.
    /// </summary>
    /// <param name="logits">[at least as many rows as the batch has, vocabulary]; null: the batch has none.</param>
    /// <param name="batch">How they are chosen, row by row.</param>
    /// <param name="best">
    /// [rows] what <see cref="BestOfRanks"/> has chosen already, also for rows that the batch chooses: those say which they are
    /// (<see cref="SamplingBatch.Rows"/>). Null: the batch chooses all, in their order.
    /// </param>
    void BeginSample(Tensor? logits, SamplingBatch batch, Tensor? best = null);

    /// <summary>
    /// Waits for the oldest sampling under way; one id per row, or <see cref="NonFiniteRow"/> or <see cref="NoTokenAllowed"/>.
    /// </summary>
    void EndSample(Span<int> ids);

    /// <summary>
    /// What the latest <see cref="BeginSample"/> chooses: int32 [rows, 1] on the device, until the next call; negative where there is no
    /// token.
    /// </summary>
    /// <param name="rows">Rows that are sampled.</param>
    Tensor Sampled(int rows);

    /// <summary>Creates room for the ids of so many rows, which then stay where they are; while no sampling is under way.</summary>
    void Reserve(int rows);

    /// <summary>
    /// Takes ids over that another device has sampled, so that inputs can name them (<see cref="SampledInput"/>), until others take their
    /// place.
    /// </summary>
    /// <param name="ids">int32 [rows, 1] on this device.</param>
    /// <param name="firstRow">By which row the first of them is named; there is room (<see cref="Reserve"/>).</param>
    void Keep(Tensor ids, int firstRow);
}
