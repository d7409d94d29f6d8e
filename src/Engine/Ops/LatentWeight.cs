using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// How the heads of one rank make keys and values of a latent vector (<c>kv_b_proj</c>), in the form that an <see cref="ILatentOps"/> uses;
/// owns its tensors.
/// </summary>
/// <param name="keys">Of the part without positions; plainly [heads, plain_dim, rank].</param>
/// <param name="values">Plainly [heads, value_dim, rank].</param>
internal sealed class LatentWeight(Tensor keys, Tensor values) : IDisposable
{
    /// <summary>Plainly [heads, plain_dim, rank].</summary>
    public Tensor Keys { get; } = keys;

    /// <summary>Plainly [heads, value_dim, rank].</summary>
    public Tensor Values { get; } = values;

    /// <inheritdoc/>
    public void Dispose()
    {
        Keys.Dispose();
        Values.Dispose();
    }
}
