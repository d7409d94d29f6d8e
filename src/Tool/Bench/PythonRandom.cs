namespace LocalLlm.Tool.Bench;

/// <summary>
/// The part of CPython's <c>random.Random</c> that a benchmark's workload needs (Matsumoto and Nishimura, "Mersenne Twister",
/// 1998). The same seed gives the same integers as in CPython, so two programs can run exactly the same workload.
/// </summary>
internal sealed class PythonRandom
{
    private const int Size = 624;
    private const int Middle = 397;
    private readonly uint[] _state = new uint[Size];
    private int _next = Size;

    /// <summary>Like <c>random.seed(seed)</c>.</summary>
    public PythonRandom(uint seed)
    {
        // init_by_array with the seed as its only word.
        const uint first = 19650218;
        _state[0] = first;
        for (var i = 1; i < Size; i++)
            _state[i] = (1812433253 * (_state[i - 1] ^ (_state[i - 1] >> 30))) + (uint)i;
        var at = 1;
        for (var round = 0; round < Size; round++)
            Mix(ref at, 1664525, seed, 0);
        for (var round = 0; round < Size - 1; round++)
            Mix(ref at, 1566083941, 0, (uint)at);
        _state[0] = 0x80000000;
    }

    /// <summary>Like <c>random.randint(least, most)</c>: both ends included.</summary>
    public int Next(int least, int most)
    {
        var count = (uint)(most - least + 1);
        var shift = System.Numerics.BitOperations.LeadingZeroCount(count);
        uint value;
        do
            value = NextWord() >> shift;
        while (value >= count);
        return least + (int)value;
    }

    private void Mix(ref int at, uint factor, uint add, uint subtract)
    {
        _state[at] = (_state[at] ^ ((_state[at - 1] ^ (_state[at - 1] >> 30)) * factor)) + add - subtract;
        if (++at < Size)
            return;
        _state[0] = _state[Size - 1];
        at = 1;
    }

    private uint NextWord()
    {
        if (_next == Size)
            Regenerate();
        var word = _state[_next++];
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c5680;
        word ^= (word << 15) & 0xefc60000;
        return word ^ (word >> 18);
    }

    private void Regenerate()
    {
        for (var i = 0; i < Size; i++)
        {
            var joined = (_state[i] & 0x80000000) | (_state[(i + 1) % Size] & 0x7fffffff);
            _state[i] = _state[(i + Middle) % Size] ^ (joined >> 1) ^ ((joined & 1) * 0x9908b0df);
        }

        _next = 0;
    }
}
