namespace LocalLlm.Jinja.Values;

/// <summary>An arithmetic sequence of at most 100,000 integers (the sandbox's limit).</summary>
internal sealed class PyRange(long start, long stop, long step, int count)
{
    public const int MaxCount = 100_000;

    public long Start { get; } = start;

    public long Stop { get; } = stop;

    public long Step { get; } = step;

    public int Count { get; } = count;

    public long this[int index] => Start + (index * Step);

    public static PyRange Create(long start, long stop, long step)
    {
        if (step == 0)
            throw TemplateException.Value("range() arg 3 must not be zero");
        Int128 span = step > 0 ? (Int128)stop - start : (Int128)start - stop;
        var width = Int128.Abs(step);
        var count = span <= 0 ? 0 : ((span - 1) / width) + 1;
        if (count > MaxCount)
            throw TemplateException.Arithmetic($"Range too big. The sandbox blocks ranges larger than MAX_RANGE ({MaxCount}).");
        return new PyRange(start, stop, step, (int)count);
    }

    public IEnumerable<object?> Enumerate(bool reversed = false)
    {
        for (var i = 0; i < Count; i++)
            yield return this[reversed ? Count - 1 - i : i];
    }
}
