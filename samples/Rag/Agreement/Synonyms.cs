namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>
/// Words that ask for the same, in the format of search engines (Solr, Elasticsearch): each line is a set, separated by commas; # begins a
/// comment. In a question an entry of several words, or of Chinese, stands for its set; in sentences only single words and Chinese entries
/// are looked for.
/// </summary>
internal sealed class Synonyms
{
    private static readonly HashSet<string> s_degrees = [.. "heavy tall high long wide deep thick fast old hot warm far big large loud powerful expensive bright strong steep".Split(' ')];
    private readonly IReadOnlyList<IReadOnlyList<string>> _sets;

    private Synonyms(IReadOnlyList<IReadOnlyList<string>> sets) => _sets = sets;

    public static Synonyms None { get; } = new([]);

    /// <exception cref="RagException">A line is not a set.</exception>
    public static Synonyms Parse(IEnumerable<string> lines, string place)
    {
        var sets = new List<IReadOnlyList<string>>();
        foreach (var (line, index) in lines.Select((line, index) => (line.Split('#')[0].Trim(), index)).Where(line => line.Item1.Length > 0))
        {
            string[] set = [.. line.Split(',').Select(word => string.Join(' ', word.ToLowerInvariant().Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(WordForms.Spelled)))];
            if (set.Length < 2 || set.Any(word => word.Length == 0))
                throw new RagException($"{place}, line {index + 1}: '{PlainLine.Of(line)}' is no set of synonyms; give two or more words with commas, such as: heavy, weight, weigh");
            sets.Add(set);
        }

        return new(sets);
    }

    /// <exception cref="RagException">The file cannot be read, or a line is not a set.</exception>
    public static Synonyms Load(string path)
    {
        if (path.Length == 0)
            return None;
        try
        {
            return Parse(File.ReadLines(path), path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new RagException($"the file of synonyms '{path}' (Rag:Search:Synonyms) cannot be read: {failure.Message} Name another one, or leave the setting empty for none.", failure);
        }
    }

    /// <summary>The entries that a question is searched for as a whole, longest first: several words, or two or more Chinese
    /// characters.</summary>
    public IEnumerable<string> Phrases => _sets.SelectMany(set => set).Where(entry => entry.Contains(' ') || (entry.Length > 1 && TermReader.IsWide(entry[0]))).Distinct().OrderByDescending(entry => entry.Length);

    /// <summary>All synonyms of a word or phrase, itself included.</summary>
    public IReadOnlyList<string> Of(string word) => [.. _sets.Where(set => set.Any(entry => AreSame(entry, word))).SelectMany(set => set).Prepend(word).Distinct()];

    /// <summary>Whether a word or phrase asks for a measure: it shares a set with a word that can follow "how" or 多.</summary>
    public bool IsMeasure(string word) => _sets.Any(set => set.Any(entry => AreSame(entry, word)) && set.Any(IsDegree));

    /// <summary>Whether a word can follow "how" to ask for a measure: "heavy", but not "weight".</summary>
    public static bool IsDegree(string entry) => s_degrees.Contains(entry) || entry.StartsWith("how ", StringComparison.Ordinal) || (entry[0] == '多' && entry.Length > 1);

    private static bool AreSame(string entry, string word) => entry == word || (!entry.Contains(' ') && WordForms.AreSame(entry, word));
}
