using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>
/// Text ↔ token ids from the tokenizer.json of a model folder, as Hugging Face's <c>tokenizers</c> does it: byte-pair models of
/// the Qwen, Llama and DeepSeek families, and Unigram models such as XLM-RoBERTa's. Immutable; any number of threads may use one
/// instance at once.
/// </summary>
public sealed class Tokenizer
{
    /// <summary>The file that a tokenizer is loaded from.</summary>
    public const string FileName = "tokenizer.json";

    private readonly TokenizerModel _model;
    private readonly AddedVocabulary _added;
    private readonly Normalizer? _normalizer;
    private readonly PreTokenizer? _preTokenizer;
    private readonly PostProcessor _postProcessor;
    private readonly DecoderPipeline _decoder;
    private readonly TextGuard _guard;
    private readonly IdSet _forbidden;
    private readonly Lazy<TokenBytes> _bytes;

    private Tokenizer(string modelFolder)
    {
        var config = TokenizerConfig.Read(modelFolder);
        var file = JsonSections.ReadFile(Path.Combine(modelFolder, FileName));
        _model = TokenizerModelReader.Read(FileName, file.Object("model"));
        _normalizer = NormalizerReader.Read(file.Field("normalizer"));
        _preTokenizer = PreTokenizerReader.Read(file.Field("pre_tokenizer"));
        _postProcessor = PostProcessor.Read(file.Field("post_processor"));
        _decoder = DecoderPipeline.Read(file.Field("decoder"));
        var tokens = new AddedTokenReader(_model.Vocabulary);
        tokens.AddAll(file.Field("added_tokens"));
        tokens.AddMissing(config.AddedTokens);
        _added = new AddedVocabulary(tokens.Tokens, _normalizer);
        _guard = new TextGuard(_added, _normalizer);
        _forbidden = new IdSet(_added.Tokens.Select(token => token.Id).Where(id => id != _model.UnknownId));
        VocabularySize = Math.Max(_model.Vocabulary.Size, _added.Tokens.Select(token => token.Id + 1).DefaultIfEmpty(0).Max());
        foreach (var id in _postProcessor.Before.Concat(_postProcessor.After))
        {
            if (!Has(id))
                throw file.Field("post_processor").Fail($"adds the id {id}, which no token has");
        }

        _bytes = new(() => new TokenBytes(VocabularySize, DecodedText, _decoder));
        AllSpecialIds = [.. _added.Tokens.Where(token => token.Special).Select(token => token.Id)];
        AddedTokenTexts = [.. _added.Tokens.Select(token => token.Content)];
        BosToken = config.BosToken;
        EosToken = config.EosToken;
        PadToken = config.PadToken;
        UnkToken = config.UnkToken;
        AddBosToken = config.AddBosToken;
        AddEosToken = config.AddEosToken;
    }

    /// <summary>The largest id + 1. The model's embedding may have more rows.</summary>
    public int VocabularySize { get; }

    /// <summary>The ids that <see cref="Decode"/> leaves out when it skips special tokens, ascending.</summary>
    public IReadOnlyList<int> AllSpecialIds { get; }

    /// <summary>The texts of all added tokens, special or not, by ascending id.</summary>
    public IReadOnlyList<string> AddedTokenTexts { get; }

    /// <summary>Text of the begin-of-sequence token from tokenizer_config.json, or null.</summary>
    public string? BosToken { get; }

    /// <summary>Text of the end-of-sequence token, or null.</summary>
    public string? EosToken { get; }

    /// <summary>Text of the padding token, or null.</summary>
    public string? PadToken { get; }

    /// <summary>Text of the unknown token, or null.</summary>
    public string? UnkToken { get; }

    /// <summary>Id of <see cref="BosToken"/>, or null if there is none or the vocabulary lacks it.</summary>
    public int? BosTokenId => BosToken is null ? null : TokenToId(BosToken);

    /// <summary>Id of <see cref="EosToken"/>, or null.</summary>
    public int? EosTokenId => EosToken is null ? null : TokenToId(EosToken);

    /// <summary>Id of <see cref="PadToken"/>, or null.</summary>
    public int? PadTokenId => PadToken is null ? null : TokenToId(PadToken);

    /// <summary>Id of <see cref="UnkToken"/>, or null.</summary>
    public int? UnkTokenId => UnkToken is null ? null : TokenToId(UnkToken);

    /// <summary>Whether a folder has a tokenizer.json.</summary>
    /// <param name="modelFolder">The model folder.</param>
    public static bool Exists(string modelFolder) => File.Exists(Path.Combine(modelFolder, FileName));

    /// <summary>Reads tokenizer.json and, if it exists, tokenizer_config.json. Reads no other files.</summary>
    /// <param name="modelFolder">The model folder.</param>
    /// <exception cref="TokenizerException">
    /// <see cref="TokenizerErrorKind.File"/>: a file is missing, malformed or of an unsupported kind;
    /// <see cref="TokenizerErrorKind.Environment"/>: the tokenizer normalises text and this process has no Unicode data.
    /// </exception>
    public static Tokenizer Load(string modelFolder)
    {
        ArgumentException.ThrowIfNullOrEmpty(modelFolder);
        if (!Exists(modelFolder))
            throw TokenizerException.File(FileName, "the model folder has no such file; a tokenizer is needed to turn text into ids");
        try
        {
            return new(modelFolder);
        }
        catch (UntrustedFileException refusal)
        {
            throw TokenizerException.File(refusal);
        }
    }

    /// <summary>Turns text into token ids. The texts of added tokens in it become those tokens.</summary>
    /// <param name="text">Any text; lone surrogates count as U+FFFD.</param>
    /// <param name="addSpecialTokens">Whether to add what the tokenizer's post-processor adds, such as a begin-of-sequence token.</param>
    /// <param name="guard">
    /// A noncharacter (U+FDD0 to U+FDEF) that <see cref="GuardText"/> has put into the untrusted parts of the text, or null. No
    /// added token begins right after a guard or spans one; the guards themselves are not part of the text. With a guard, only
    /// the literal text of an added token becomes that token: text that normalises to it, such as <c>＜s＞</c>, does not.
    /// </param>
    /// <exception cref="TokenizerException">
    /// <see cref="TokenizerErrorKind.File"/>: the file's patterns take too long on this text, or its normalizers make it too long.
    /// </exception>
    public int[] Encode(string text, bool addSpecialTokens = true, char? guard = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        IdSet? forbidden = null;
        if (guard is { } given)
        {
            TextGuard.CheckGuard(given);
            // A normaliser can turn characters that need no guard into a token's text, which the model would turn into that token.
            forbidden = _forbidden;
            if (!text.Contains(given, StringComparison.Ordinal))
                guard = null;
        }

        text = CodePoints.ReplaceLoneSurrogates(text);
        var ids = new List<int>(text.Length / 3 + 8);
        if (addSpecialTokens)
            ids.AddRange(_postProcessor.Before);
        foreach (var segment in AddedVocabulary.Split(text, _added.Raw, guard))
        {
            if (segment.Token is { } token)
                ids.Add(token.Id);
            else
                EncodePlain(text.Substring(segment.Start, segment.Length), segment.Start == 0, guard, forbidden, ids);
        }

        if (addSpecialTokens)
            ids.AddRange(_postProcessor.After);
        return [.. ids];
    }

    /// <summary>Turns token ids into text.</summary>
    /// <param name="ids">Ids from 0 to <see cref="VocabularySize"/> - 1; an id without a token gives no text.</param>
    /// <param name="skipSpecialTokens">Leaves special tokens out. Added tokens that are not special stay.</param>
    /// <exception cref="TokenizerException"><see cref="TokenizerErrorKind.TokenId"/>: an id is out of range.</exception>
    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens = false)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var detokenizer = new IncrementalDetokenizer(this, skipSpecialTokens);
        foreach (var id in ids)
            detokenizer.Push(id);
        return detokenizer.Flush();
    }

    /// <summary>The id of the token with this text in the vocabulary (byte-level tokens in the byte alphabet), or null.</summary>
    /// <param name="token">The token's text, such as <c>Ġthe</c> or <c>&lt;think&gt;</c>.</param>
    public int? TokenToId(string token)
    {
        ArgumentNullException.ThrowIfNull(token);
        if (_added.ByContent(token) is { } added)
            return added.Id;
        var id = _model.Vocabulary.Find(Encoding.UTF8.GetBytes(token));
        return id < 0 ? null : id;
    }

    /// <summary>The text of a token in the vocabulary, or null if no token has the id.</summary>
    /// <param name="id">The id.</param>
    public string? IdToToken(int id) =>
        _added.ById(id)?.Content ?? (_model.Vocabulary.Has(id) ? Encoding.UTF8.GetString(_model.Vocabulary.Utf8(id)) : null);

    /// <summary>The bytes that a token adds to decoded text wherever it appears; empty if no token has the id.</summary>
    /// <param name="id">The id.</param>
    public ReadOnlySpan<byte> IdToBytes(int id) => (uint)id < (uint)VocabularySize ? _bytes.Value[id] : default;

    /// <summary>Whether the id is a special token.</summary>
    /// <param name="id">The id.</param>
    public bool IsSpecial(int id) => _added.ById(id) is { Special: true };

    /// <summary>Whether the id is an added token, special or not.</summary>
    /// <param name="id">The id.</param>
    public bool IsAdded(int id) => _added.ById(id) is not null;

    /// <summary>
    /// Puts a guard before each position of an untrusted text where an added token begins, could be completed by text that
    /// follows, or continues one from before the text. <see cref="Encode"/> then finds no added token in it.
    /// </summary>
    /// <param name="text">The untrusted text. Choose a guard that does not occur in it: <see cref="Encode"/> removes all of them.</param>
    /// <param name="guard">A noncharacter, U+FDD0 to U+FDEF.</param>
    /// <param name="exempt">Token texts that may stay tokens, or null for none.</param>
    public string GuardText(string text, char guard, Predicate<string>? exempt = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        return _guard.Apply(text, guard, exempt);
    }

    /// <summary>The setting of tokenizer_config.json, or null; <see cref="Encode"/> follows tokenizer.json alone.</summary>
    internal bool? AddBosToken { get; }

    /// <inheritdoc cref="AddBosToken"/>
    internal bool? AddEosToken { get; }

    /// <summary>The text as the model's vocabulary sees it: what <see cref="Encode"/> first rewrites it to, added tokens aside.</summary>
    /// <param name="text">The text.</param>
    public string Normalize(string text) => _normalizer?.Normalize(CodePoints.ReplaceLoneSurrogates(text)) ?? text;

    /// <summary>The largest id + 1 among tokens of the model itself. Added tokens may never be used.</summary>
    public int UnaddedSize
    {
        get
        {
            var size = _model.Vocabulary.Size;
            while (size > 0 && (IsAdded(size - 1) || !_model.Vocabulary.Has(size - 1)))
                size--;
            return size;
        }
    }

    internal TokenDecoder BuildDecoder(TokenDecoder end) => _decoder.Build(end);

    /// <summary>Feeds one token to a chain that <see cref="BuildDecoder"/> created.</summary>
    internal void PushToken(int id, TokenDecoder decoder, bool skipSpecialTokens)
    {
        if ((uint)id >= (uint)VocabularySize)
        {
            throw new TokenizerException(
                TokenizerErrorKind.TokenId, $"the token id {id} is out of range; this tokenizer has the ids 0 to {VocabularySize - 1}");
        }

        if (!Has(id) || skipSpecialTokens && IsSpecial(id))
            return;
        if (decoder is ByteLevelDecoder byteLevel)
            byteLevel.PushBytes(_bytes.Value[id]);
        else
            decoder.Push(DecodedText(id));
    }

    private bool Has(int id) => _model.Vocabulary.Has(id) || IsAdded(id);

    private string DecodedText(int id) =>
        _added.ById(id) is { } token ? _added.DecodedForm(token) : Encoding.UTF8.GetString(_model.Vocabulary.Utf8(id));

    /// <summary>Tokenises a stretch of text without raw added tokens: normalise, find normalised ones, split, merge.</summary>
    private void EncodePlain(string text, bool atStart, char? guard, IdSet? forbidden, List<int> ids)
    {
        // Guards stay until all tokens are found: a normaliser neither changes noncharacters nor acts across them.
        if (guard is not null && _added.Normalized.IsEmpty)
        {
            text = Unguard(text, guard);
            guard = null;
        }

        text = _normalizer?.Normalize(text) ?? text;
        foreach (var segment in AddedVocabulary.Split(text, _added.Normalized, guard))
        {
            if (segment.Token is { } token)
            {
                ids.Add(token.Id);
                continue;
            }

            var plain = Unguard(text.Substring(segment.Start, segment.Length), guard);
            var split = PreTokenizedText.Whole(plain, atStart && segment.Start == 0);
            split = _preTokenizer?.Split(split) ?? split;
            foreach (var piece in split.Pieces)
                _model.Tokenize(split.Text.Span.Slice(piece.Start, piece.Length), ids, forbidden);
        }
    }

    private static string Unguard(string text, char? guard) =>
        guard is { } given ? text.Replace(given.ToString(), "", StringComparison.Ordinal) : text;
}
