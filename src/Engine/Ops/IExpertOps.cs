using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>The experts of each token of a step.</summary>
/// <param name="Ids">
/// [tokens, experts per token] int64, or int32 where the device that chose also sums (<see cref="IExpertOps.TrySum"/>): -1 in the rows that
/// pad a recorded step.
/// </param>
/// <param name="Weights">[tokens, experts per token] float32.</param>
/// <param name="HasShared">
/// Whether the last of each token is the expert of every token, by the number after the last one's, with a weight of 1
/// (<see cref="IExpertOps.JoinsShared"/>).
/// </param>
internal readonly record struct ExpertChoices(Tensor Ids, Tensor Weights, bool HasShared = false);

/// <summary>The matrices of one expert on one rank, without biases.</summary>
/// <param name="GateUp">[2 · width, hidden]: gate first.</param>
/// <param name="Down">[hidden, width].</param>
internal readonly record struct ExpertMatrices(IWeightMatrix GateUp, IWeightMatrix Down);

/// <summary>
/// The experts of a layer that this rank has, by their numbers in the layer; by their places on this rank where they change ranks.
/// </summary>
internal interface IExperts
{
    /// <summary>The first one's number.</summary>
    int First { get; }

    /// <summary>How many follow each other from there.</summary>
    int Count { get; }

    /// <summary>
    /// Experts of the layer on all ranks; where they change ranks, the ranks: what is counted (<see cref="CountedExperts"/>).
    /// </summary>
    int Total => First + Count;

    /// <summary>Which rank computes what of the experts that change ranks; null: experts stay.</summary>
    ExpertShares? Shares => null;

    /// <summary>
    /// What the expert of every token is made of, of which this rank has the same part as of the others; null: there is none, or it is
    /// split otherwise.
    /// </summary>
    ExpertMatrices? Shared => null;

    /// <summary>How they are chosen; null: in a way that any device has kernels for.</summary>
    ExpertRouting? Routing => null;

    /// <summary>What one is made of; null: only <see cref="Forward"/> knows.</summary>
    ExpertMatrices? MatricesOf(int expert);

    /// <summary>down(silu(gate(x)) · up(x)) of one: [rows, hidden] → [rows, hidden].</summary>
    Tensor Forward(int expert, Tensor x);
}

/// <summary>Where the tokens of a layer's experts are counted.</summary>
/// <param name="Experts">Those of this rank; null: no device counts them.</param>
/// <param name="Tokens">[experts of the layer] the tokens of each, whichever rank has it; [ranks] those of each where experts change
/// ranks.</param>
internal readonly record struct CountedExperts(IExperts? Experts, long[] Tokens);

/// <summary>
/// What a device does for mixtures of experts. <see cref="TorchExpertOps"/> is the plain version. Results live as those of
/// <see cref="IDeviceOps"/>.
/// </summary>
internal interface IExpertOps
{
    /// <summary>The router's product in float32, by 16-bit inputs: [tokens, hidden] → [tokens, experts] float32.</summary>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="weight">[experts, hidden] float32, without bias.</param>
    /// <returns>Null: the device has nothing of its own for it; the layer converts x, and multiplies as by any matrix.</returns>
    Tensor? TryLogits(Tensor x, LinearWeight weight) => null;

    /// <summary>Chooses the experts of each token (arXiv 2401.06066, 2405.04434, 2412.19437).</summary>
    /// <param name="logits">[tokens, experts] float32.</param>
    /// <param name="bias">[experts] float32, added to the scores to choose by; null: none.</param>
    /// <param name="routing">How.</param>
    /// <param name="joinsShared">Whether the expert of every token comes last (<see cref="JoinsShared"/>).</param>
    ExpertChoices Route(Tensor logits, Tensor? bias, ExpertRouting routing, bool joinsShared = false);

    /// <summary>
    /// The sum of each token's experts of this rank, times their weights, in the order of their numbers and in float32: the sum of a token
    /// does not depend on what else is in the step.
    /// </summary>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="groups">The tokens of each expert.</param>
    /// <param name="weights">[tokens, experts per token] float32.</param>
    /// <param name="experts">Of this rank.</param>
    /// <returns>[tokens, hidden] float32.</returns>
    Tensor Sum(Tensor x, ExpertGroups groups, Tensor weights, IExperts experts);

    /// <summary>
    /// Whether <see cref="TrySum"/> sums these experts, which are loaded: without the host, so that the step can be recorded
    /// (<see cref="IGraphCapture"/>).
    /// </summary>
    /// <param name="experts">Of this rank.</param>
    /// <param name="type">Of activations.</param>
    bool Takes(IExperts experts, ScalarType type) => false;

    /// <summary>
    /// Whether <see cref="TrySum"/> best computes the expert of every token (<see cref="IExperts.Shared"/>) as one more of each token's.
    /// </summary>
    /// <param name="experts">Of this rank, loaded.</param>
    /// <param name="type">Of activations.</param>
    /// <param name="tokens">In the step.</param>
    bool JoinsShared(IExperts experts, ScalarType type, long tokens) => false;

    /// <summary>
    /// Rows as the router and these experts read them, in one pass: the next <see cref="TrySum"/> gets both, and nothing else is quantised
    /// before it.
    /// </summary>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="weight">[hidden], of the norm by the root of the mean square.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="experts">Of this rank, loaded.</param>
    /// <returns>Null: the experts do not read 8-bit floats, or <see cref="TrySum"/> makes them of so many rows.</returns>
    NormalisedRows? TryNormalise(Tensor x, Tensor weight, float epsilon, IExperts experts) => null;

    /// <summary>
    /// The sum by choices that stay on the device, and what is added to it: (Σ weight · expert, in the order of the choice) + shared +
    /// residual, in float32, rounded once. Counts the tokens of every expert (<see cref="ReadUsage"/>).
    /// </summary>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="choices">The experts of each token.</param>
    /// <param name="experts">Of this rank.</param>
    /// <param name="shared">[tokens, hidden] in x's type, what the experts of every token gave; null: nothing.</param>
    /// <param name="residual">[tokens, hidden] in x's type, which becomes the result; null: the result is a tensor of its own.</param>
    /// <param name="quantised">x as 8-bit floats, of <see cref="TryNormalise"/>; null: x is not quantised yet.</param>
    /// <returns>[tokens, hidden] in x's type; null: this device, or these experts, need the choices on the host, and nothing was
    /// done.</returns>
    Tensor? TrySum(
        Tensor x, ExpertChoices choices, IExperts experts, Tensor? shared = null, Tensor? residual = null,
        QuantisedRows? quantised = null) => null;

    /// <summary>Experts of this rank are others now: what the device knows of where they lie is of no use any more.</summary>
    void Forget(IExperts experts)
    {
        // Nothing is known.
    }

    /// <summary>
    /// Writes how many tokens each expert of some layers has had in <see cref="TrySum"/>, up to some step that the device has computed,
    /// without waiting for those that it computes now. Layers that the host counts are left as they are.
    /// </summary>
    /// <param name="layers">Where to write.</param>
    void ReadUsage(IReadOnlyList<CountedExperts> layers)
    {
        // The host counts.
    }

    /// <summary>Counts from zero again, behind the steps that the device computes now.</summary>
    void ForgetUsage()
    {
        // The host counts.
    }
}
