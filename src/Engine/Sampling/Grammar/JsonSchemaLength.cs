namespace LocalLlm.Sampling.Grammar;

/// <summary>Many characters by few rules: 2^k of them are twice 2^(k-1).</summary>
/// <param name="nodes">The rules.</param>
/// <param name="character">Makes one.</param>
internal sealed class JsonSchemaLength(GrammarNodes nodes, Func<Fragment> character)
{
    // Up to there a place for each is quicker.
    private const int Few = 2000;
    private readonly List<int> _powers = []; // rules of 2^k characters
    private readonly List<int> _below = []; // rules of less than 2^k characters

    /// <summary>From <paramref name="least"/> to <paramref name="most"/> characters; null: any number.</summary>
    public Fragment Make(int least, int? most)
    {
        if ((most ?? least) <= Few)
            return nodes.Repeat(character, least, most);
        return nodes.Sequence(Exactly(least), most is { } limit ? AtMost(limit - least) : nodes.Star(character()));
    }

    private Fragment Exactly(int count)
    {
        var parts = new List<Fragment> { nodes.Nothing() };
        for (var k = 0; count >> k > 0; k++)
        {
            if ((count >> k & 1) != 0)
                parts.Add(nodes.Call(Power(k)));
        }

        return nodes.Sequence([.. parts]);
    }

    // Less than the largest power of two that fits, or that power and at most the rest. Every length is read in one way.
    private Fragment AtMost(int count)
    {
        if (count == 0)
            return nodes.Nothing();
        var k = System.Numerics.BitOperations.Log2((uint)count);
        return nodes.Either(nodes.Call(Below(k)), nodes.Sequence(nodes.Call(Power(k)), AtMost(count - (1 << k))));
    }

    private int Power(int k)
    {
        while (_powers.Count <= k)
        {
            var rule = nodes.DeclareRule();
            nodes.DefineRule(rule, _powers.Count == 0 ? character() : nodes.Sequence(nodes.Call(_powers[^1]), nodes.Call(_powers[^1])));
            _powers.Add(rule);
        }

        return _powers[k];
    }

    private int Below(int k)
    {
        while (_below.Count <= k)
        {
            var rule = nodes.DeclareRule();
            nodes.DefineRule(rule, _below.Count == 0 ? nodes.Nothing() : nodes.Either(nodes.Call(_below[^1]), nodes.Sequence(nodes.Call(Power(_below.Count - 1)), nodes.Call(_below[^1]))));
            _below.Add(rule);
        }

        return _below[k];
    }
}
