using System.Text;
using System.Text.Json.Nodes;

namespace LocalLlm.Tokenizers.Tests;

/// <summary>Parts of a self-made tokenizer.json with a Unigram model.</summary>
internal static class TemporaryUnigram
{
    /// <summary>
    /// XLM-RoBERTa's control pieces (ids 0 to 3, the unknown one last), some letters and some words. No piece contains <c>☃</c>,
    /// <c>☄</c> or any capital letter but <c>X</c>.
    /// </summary>
    public static readonly (string Piece, double Score)[] Pieces =
    [
        ("<s>", 0), ("<pad>", 0), ("</s>", 0), ("<unk>", 0), ("▁", -3), ("a", -4), ("b", -4), ("c", -4), ("ab", -5), ("bc", -5), ("abc", -9),
        ("▁a", -6), ("▁abc", -6.5), ("<", -7), (">", -7), ("s", -7), ("/", -7), ("u", -7), ("n", -7), ("k", -7), ("中", -8), ("😀", -8), ("X", -8),
    ];

    public static TemporaryTokenizer Create(Action<JsonObject>? change = null, params IEnumerable<(string Piece, double Score)> more) =>
        new(json =>
        {
            json["added_tokens"] = new JsonArray([.. Pieces.Take(4).Select((p, id) => TemporaryTokenizer.Added(id, p.Piece, special: true))]);
            json["pre_tokenizer"] = TemporaryTokenizer.Parse("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"}""");
            json["decoder"] = json["pre_tokenizer"]!.DeepClone();
            json["model"] = new JsonObject { ["type"] = "Unigram", ["unk_id"] = 3, ["vocab"] = Vocabulary([.. Pieces, .. more]) };
            change?.Invoke(json);
        });

    public static JsonArray Vocabulary(IEnumerable<(string Piece, double Score)> pieces) =>
        new([.. pieces.Select(p => new JsonArray(p.Piece, p.Score))]);

    /// <summary>A <c>precompiled_charsmap</c> with these replacements.</summary>
    public static string CharacterMap(params (string From, string To)[] entries)
    {
        var texts = new List<byte>();
        var keys = new List<(byte[] Key, int Value)>();
        foreach (var (from, to) in entries)
        {
            keys.Add((Encoding.UTF8.GetBytes(from), texts.Count));
            texts.AddRange([.. Encoding.UTF8.GetBytes(to), 0]);
        }

        var units = new uint[256 * (keys.Sum(k => k.Key.Length) + 2)];
        Place(units, 0, keys, 0);
        return Map([.. units], texts);
    }

    public static string Map(uint[] units, IEnumerable<byte> texts, uint? size = null) => Convert.ToBase64String(
        [.. BitConverter.GetBytes(size ?? 4 * (uint)units.Length), .. units.SelectMany(BitConverter.GetBytes), .. texts]);

    // Each node gets its own block: wasteful, but simple and correct.
    private static void Place(uint[] units, int unit, List<(byte[] Key, int Value)> keys, int depth, Counter? blocks = null)
    {
        blocks ??= new Counter();
        var node = 256 * ++blocks.Value;
        units[unit] |= (uint)(unit ^ node) << 10;
        foreach (var group in keys.Where(k => k.Key.Length > depth).GroupBy(k => k.Key[depth]))
        {
            var child = node ^ group.Key;
            units[child] |= group.Key;
            Place(units, child, [.. group], depth + 1, blocks);
        }

        foreach (var (_, value) in keys.Where(k => k.Key.Length == depth))
        {
            units[unit] |= 1u << 8;
            units[node] = 1u << 31 | (uint)value;
        }
    }

    private sealed class Counter
    {
        public int Value { get; set; }
    }
}
