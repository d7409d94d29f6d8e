namespace LocalLlm.Tokenizers;

/// <summary>The regular expressions of the model families that have a scanner of their own.</summary>
internal static class KnownPatterns
{
    public const string Qwen2 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public const string Llama3 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    public const string DeepSeekDigits = @"\p{N}{1,3}";

    public const string DeepSeekIdeographs = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";

    public const string DeepSeekWords =
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
        + "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";

    private static readonly Dictionary<string, SplitPattern> Scanners = new(StringComparer.Ordinal)
    {
        [Qwen2] = new WordScanner(maxDigits: 1),
        [Llama3] = new WordScanner(maxDigits: 3),
        [Gpt2] = new Gpt2Scanner(),
        [DeepSeekDigits] = new DigitGroupScanner(),
        [DeepSeekIdeographs] = new IdeographScanner(),
        [DeepSeekWords] = new DeepSeekWordScanner(),
        // The same with the line breaks escaped, as some conversions write it.
        [DeepSeekWords.Replace("\r\n", @"\r\n", StringComparison.Ordinal)] = new DeepSeekWordScanner(),
    };

    /// <summary>The scanner of exactly this expression, or null.</summary>
    public static SplitPattern? Find(string expression) => Scanners.GetValueOrDefault(expression);
}
