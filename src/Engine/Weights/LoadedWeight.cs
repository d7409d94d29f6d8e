namespace LocalLlm.Weights;

/// <summary>
/// A layer's slot for a weight. It is empty until the loader fills it, and again after the registry releases it. The registry owns its
/// content.
/// </summary>
/// <param name="name">The first of the checkpoint's tensors that the weight is built from.</param>
internal sealed class LoadedWeight<T>(string name)
    where T : class, IDisposable
{
    private T? _value;

    /// <summary>The loaded weight.</summary>
    /// <exception cref="InvalidOperationException">Nothing is loaded.</exception>
    public T Value => _value ?? throw new InvalidOperationException($"The weight {name} is not loaded.");

    /// <summary>Takes ownership of a value and disposes the previous one.</summary>
    public void Set(T value)
    {
        _value?.Dispose();
        _value = value;
    }

    /// <summary>A separate slot for a value; the caller owns it until <see cref="Take"/>.</summary>
    public static LoadedWeight<T> Of(T value)
    {
        var weight = new LoadedWeight<T>("a copy");
        weight.Set(value);
        return weight;
    }

    /// <summary>Moves the value of another slot into this one.</summary>
    public void Take(LoadedWeight<T> other)
    {
        Set(other.Value);
        other._value = null;
    }

    /// <summary>Disposes the value.</summary>
    public void Release()
    {
        _value?.Dispose();
        _value = null;
    }
}
