using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>The <c>decoder</c> of a tokenizer.json; builds the chain of steps for one decoding.</summary>
internal sealed class DecoderPipeline
{
    private readonly List<Func<TokenDecoder, TokenDecoder>> _steps = [];
    private readonly List<Normalizer> _perToken = [];
    private bool _fused;
    private bool _byteFallback;

    private DecoderPipeline(JsonField field)
    {
        if (field.IsNull)
            _steps.Add(next => new SpaceJoiner { Next = next });
        else
            Add(field);
    }

    /// <summary>The first step takes bytes, so the text of a token need not be built.</summary>
    public bool BeginsWithBytes { get; private set; }

    public static DecoderPipeline Read(JsonField field) => new(field);

    /// <summary>A chain that ends in <paramref name="end"/>.</summary>
    public TokenDecoder Build(TokenDecoder end) => Enumerable.Reverse(_steps).Aggregate(end, (next, step) => step(next));

    /// <summary>The bytes that one token yields by itself, wherever it appears.</summary>
    public void AppendBytes(string token, List<byte> bytes)
    {
        if (BeginsWithBytes)
        {
            ByteAlphabet.AppendBytes(token, bytes);
            return;
        }

        token = _perToken.Aggregate(token, (current, step) => TextGrowth.Check(step.Normalize(current), token));
        if (_byteFallback && ByteFallbackDecoder.ByteOf(token) is >= 0 and var value)
            bytes.Add((byte)value);
        else
            bytes.AddRange(System.Text.Encoding.UTF8.GetBytes(token));
    }

    private void Add(JsonField field)
    {
        var type = field["type"];
        switch (type.String())
        {
            case "Sequence":
                foreach (var step in field["decoders"].Items())
                    Add(step);
                break;
            case "ByteLevel":
                RefuseWhenFused(type);
                BeginsWithBytes = _steps.Count == 0;
                _steps.Add(next => new ByteLevelDecoder { Next = next });
                _fused = true;
                break;
            case "ByteFallback":
                RefuseWhenFused(type);
                _byteFallback = true;
                _steps.Add(next => new ByteFallbackDecoder { Next = next });
                break;
            case "Fuse":
                _fused = true;
                break;
            case "Replace":
                AddReplace(field);
                break;
            case "Strip":
                AddStrip(field["content"].Character(), field["start"].Int32(0, 1 << 20), field["stop"].Int32(0, 1 << 20));
                break;
            case "Metaspace":
                AddMetaspace(PreTokenizerReader.Replacement(field), PreTokenizerReader.PrependScheme(field) == "never");
                break;
            default:
                throw type.Fail($"is \"{JsonField.Shorten(type.String())}\"; supported are Sequence, ByteLevel, ByteFallback, Fuse, "
                    + "Replace, Strip and Metaspace");
        }
    }

    private void AddReplace(JsonField field)
    {
        var pattern = SplitPatternReader.Read(field["pattern"]);
        var content = field["content"].String();
        if (!_fused)
        {
            var replace = new ReplaceNormalizer(pattern, content);
            if (!_byteFallback)
                _perToken.Add(replace);
            _steps.Add(next => new ReplaceDecoder(replace) { Next = next });
        }
        else if (pattern is LiteralPattern { Literal: { Length: > 0 } literal })
        {
            _steps.Add(next => new FusedReplaceDecoder(literal, content) { Next = next });
        }
        else
        {
            throw field.Fail("replaces a regular expression after the tokens were fused, which is not supported");
        }
    }

    private void AddStrip(string content, int start, int stop)
    {
        if (_fused)
            _steps.Add(next => new FusedStripDecoder(content, start, stop) { Next = next });
        else
            _steps.Add(next => new StripDecoder(content, start, stop) { Next = next });
    }

    private void AddMetaspace(string replacement, bool keepFirst)
    {
        var fused = _fused;
        if (!fused)
            _perToken.Add(new ReplaceNormalizer(new LiteralPattern(replacement), " "));
        _steps.Add(next => new MetaspaceDecoder(replacement, keepFirst) { Next = next, Fused = fused });
    }

    private void RefuseWhenFused(JsonField type)
    {
        if (_fused)
            throw type.Fail("is a step after the tokens were fused, which is not supported");
    }
}
