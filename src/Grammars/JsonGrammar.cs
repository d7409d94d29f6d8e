namespace LocalLlm.Grammars;

/// <summary>
/// JSON (RFC 8259) as a grammar. White space is at most one blank after a colon or comma, or line feeds with an indentation of a
/// few blanks: models need some white space, and could write it forever.
/// </summary>
internal sealed class JsonGrammar
{
    private const int MaxIndentation = 16;
    private readonly GrammarNodes _nodes;
    private readonly int _value;
    private readonly int _string;
    private readonly int _character;
    private readonly int _space;

    public JsonGrammar(GrammarNodes nodes)
    {
        _nodes = nodes;
        _value = nodes.DeclareRule();
        _string = nodes.DeclareRule();
        _character = nodes.DeclareRule();
        _space = nodes.DeclareRule();
        nodes.DefineRule(_space, SpaceBody());
        nodes.DefineRule(_character, CharacterBody());
        nodes.Share(_string, "string");
        nodes.DefineRule(_string, nodes.Sequence(nodes.Literal("\""), nodes.Star(Character()), nodes.Literal("\"")));
        nodes.DefineRule(_value, nodes.Either(Object(), Array(), nodes.Call(_string), Number(), nodes.Literal("true"), nodes.Literal("false"), nodes.Literal("null")));
    }

    /// <summary>Any value.</summary>
    public Fragment Value() => _nodes.Call(_value);

    /// <summary>Any string.</summary>
    public Fragment String() => _nodes.Call(_string);

    /// <summary>The rule of one character of a string.</summary>
    public int CharacterRule => _character;

    /// <summary>One character of a string, in any spelling that JSON allows.</summary>
    public Fragment Character() => _nodes.Call(_character);

    /// <summary>Any object.</summary>
    public Fragment Object() => _nodes.Sequence(_nodes.Literal("{"), Space(), List(Member()), _nodes.Literal("}"));

    /// <summary>Any array.</summary>
    public Fragment Array() => _nodes.Sequence(_nodes.Literal("["), Space(), List(_nodes.Sequence(Value(), Space())), _nodes.Literal("]"));

    private Fragment Member() => _nodes.Sequence(_nodes.Call(_string), _nodes.Literal(":"), Space(), Value(), Space());

    /// <summary>Items separated by commas; may be empty.</summary>
    public Fragment List(Fragment item)
    {
        // One copy of the item, so that rules in it return to one place: otherwise every level of nesting would double the states.
        var comma = _nodes.Sequence(_nodes.Literal(","), Space());
        _nodes.Connect(item.End, comma, item.Start);
        return _nodes.Optional(item);
    }

    /// <summary>The allowed white space.</summary>
    public Fragment Space() => _nodes.Call(_space);

    private Fragment SpaceBody() => _nodes.Optional(_nodes.Either(
        _nodes.Literal(" "),
        _nodes.Sequence(_nodes.Literal("\n"), _nodes.Repeat(() => _nodes.Literal(" "), 0, MaxIndentation))));

    private Fragment CharacterBody()
    {
        var plain = Utf8Ranges.Add(_nodes, [(0x20, 0x21), (0x23, 0x5B), (0x5D, 0x10FFFF)]);
        var simple = _nodes.Either([.. "\"\\/bfnrt".Select(character => _nodes.Literal(character.ToString()))]);
        // A lone surrogate is legal JSON but not text, so only pairs are allowed.
        var scalar = _nodes.Sequence(_nodes.Literal("u"), _nodes.Either(
            _nodes.Sequence(Hex("0-9a-cA-Ce-fE-F"), Hex(), Hex(), Hex()),
            _nodes.Sequence(Hex("dD"), Hex("0-7"), Hex(), Hex()),
            _nodes.Sequence(Hex("dD"), Hex("89abAB"), Hex(), Hex(), _nodes.Literal("\\u"), Hex("dD"), Hex("c-fC-F"), Hex(), Hex())));
        return _nodes.Either(plain, _nodes.Sequence(_nodes.Literal("\\"), _nodes.Either(simple, scalar)));
    }

    /// <summary>Any number.</summary>
    public Fragment Number()
    {
        Fragment Digit(char first = '0') => _nodes.Range((byte)first, (byte)'9');
        Fragment Digits() => _nodes.Sequence(Digit(), _nodes.Star(Digit()));
        return _nodes.Sequence(
            _nodes.Optional(_nodes.Literal("-")),
            _nodes.Either(_nodes.Literal("0"), _nodes.Sequence(Digit('1'), _nodes.Star(Digit()))),
            _nodes.Optional(_nodes.Sequence(_nodes.Literal("."), Digits())),
            _nodes.Optional(_nodes.Sequence(_nodes.Either(_nodes.Literal("e"), _nodes.Literal("E")), _nodes.Optional(_nodes.Either(_nodes.Literal("+"), _nodes.Literal("-"))), Digits())));
    }

    private Fragment Hex(string digits = "0-9a-fA-F")
    {
        var parts = new List<Fragment>();
        for (var i = 0; i < digits.Length; i++)
        {
            var isRange = i + 2 < digits.Length && digits[i + 1] == '-';
            parts.Add(_nodes.Range((byte)digits[i], (byte)digits[isRange ? i + 2 : i]));
            i += isRange ? 2 : 0;
        }

        return _nodes.Either([.. parts]);
    }
}
