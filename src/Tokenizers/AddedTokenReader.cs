using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Reads added tokens and checks them against the vocabulary: one id per text, one text per id.</summary>
internal sealed class AddedTokenReader(TokenVocabulary vocabulary)
{
    // Ids index arrays, so an id in a file may not be far beyond the number of tokens.
    private const int MaxGap = 1 << 16;
    private readonly Dictionary<string, AddedToken> _byContent = new(StringComparer.Ordinal);
    private readonly Dictionary<int, AddedToken> _byId = [];

    public IReadOnlyList<AddedToken> Tokens => [.. _byId.Values.OrderBy(token => token.Id)];

    public static AddedToken Read(JsonField field, int id)
    {
        var special = field["special"].Bool(false);
        return new AddedToken(
            id,
            field["content"].String(),
            field["single_word"].Bool(false),
            field["lstrip"].Bool(false),
            field["rstrip"].Bool(false),
            field["normalized"].Bool(!special),
            special);
    }

    /// <summary>The list <c>added_tokens</c> of tokenizer.json.</summary>
    public void AddAll(JsonField list)
    {
        if (list.IsNull)
            return;
        foreach (var field in list.Items())
            Add(field, Read(field, field["id"].Int32(0, TokenVocabulary.MaxId)));
    }

    /// <summary>Tokens of tokenizer_config.json that tokenizer.json lacks.</summary>
    public void AddMissing(IEnumerable<(JsonField Field, AddedToken Token)> tokens)
    {
        foreach (var (field, token) in tokens)
        {
            if (!_byContent.ContainsKey(token.Content))
                Add(field, token);
        }
    }

    private void Add(JsonField field, AddedToken token)
    {
        if (token.Content.Length == 0)
            return;
        var limit = vocabulary.Size + _byId.Count + MaxGap;
        if (token.Id >= limit)
            throw field.Fail($"has the id {token.Id}, far beyond the vocabulary of {vocabulary.Size}; ids below {limit} are expected");
        if (_byContent.TryGetValue(token.Content, out var same) && same.Id != token.Id)
            throw field.Fail($"gives \"{Show(token)}\" the id {token.Id}, but it has the id {same.Id} already");
        if (_byId.TryGetValue(token.Id, out var other) && other.Content != token.Content)
            throw field.Fail($"gives \"{Show(token)}\" the id {token.Id}, which \"{Show(other)}\" has already");
        var known = vocabulary.Find(Encoding.UTF8.GetBytes(token.Content));
        if (known >= 0 && known != token.Id)
            throw field.Fail($"gives \"{Show(token)}\" the id {token.Id}, but the model's vocabulary has it as {known}");
        if (known < 0 && vocabulary.Has(token.Id))
            throw field.Fail($"gives \"{Show(token)}\" the id {token.Id}, which the model's vocabulary has for another token");
        _byContent[token.Content] = token;
        _byId[token.Id] = token;
    }

    private static string Show(AddedToken token) => JsonField.Shorten(token.Content);
}
