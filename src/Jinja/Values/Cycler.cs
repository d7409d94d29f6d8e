namespace LocalLlm.Jinja.Values;

internal sealed class Cycler(object?[] items)
{
    private int _position;

    public PyTuple Items { get; } = new(items);

    public long Position => _position;

    public object? Current => Items.Items[_position];

    public object? Next()
    {
        var current = Current;
        _position = (_position + 1) % Items.Items.Length;
        return current;
    }

    public object? Reset()
    {
        _position = 0;
        return null;
    }
}
