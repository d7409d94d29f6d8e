namespace LocalLlm.Weights;

/// <summary>
/// The place of a weight in a layer: empty until the loader fills it, and again once the registry releases it. The registry owns what is
/// in it.
/// </summary>
/// <param name="name">The first tensor of the checkpoint that it is made of.</param>
internal sealed class LoadedWeight<T>(string name)
    where T : class, IDisposable
{
    private T? _value;

    /// <summary>What was loaded.</summary>
    /// <exception cref="InvalidOperationException">Nothing is.</exception>
    public T Value => _value ?? throw new InvalidOperationException($"The weight {name} is not loaded.");

    /// <summary>Takes ownership; what was in it is disposed.</summary>
    public void Set(T value)
    {
        _value?.Dispose();
        _value = value;
    }

    /// <summary>A place of its own for a value, which whoever asks owns until <see cref="Take"/>.</summary>
    public static LoadedWeight<T> Of(T value)
    {
        var weight = new LoadedWeight<T>("a copy");
        weight.Set(value);
        return weight;
    }

    /// <summary>Takes what another place holds, which is empty then.</summary>
    public void Take(LoadedWeight<T> other)
    {
        Set(other.Value);
        other._value = null;
    }

    /// <summary>Disposes what is in it.</summary>
    public void Release()
    {
        _value?.Dispose();
        _value = null;
    }
}
