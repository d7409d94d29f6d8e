using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// The projection of latent vectors to the keys and values of one rank's heads (<c>kv_b_proj</c>), in the layout of an
/// <see cref="ILatentOps"/>; owns its tensors.
/// </summary>
/// <param name="keys">Projection to the plain part of the keys; [heads, plain_dim, rank] in the plain layout.</param>
/// <param name="values">Projection to the values; [heads, value_dim, rank] in the plain layout.</param>
internal sealed class LatentWeight(Tensor keys, Tensor values) : IDisposable
{
    /// <summary>[heads, plain_dim, rank] in the plain layout.</summary>
    public Tensor Keys { get; } = keys;

    /// <summary>[heads, value_dim, rank] in the plain layout.</summary>
    public Tensor Values { get; } = values;

    /// <inheritdoc/>
    public void Dispose()
    {
        Keys.Dispose();
        Values.Dispose();
    }
}
