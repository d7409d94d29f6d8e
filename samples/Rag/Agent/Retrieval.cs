using System.Text.RegularExpressions;
using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>
/// All that was found for one question, over all searches for it. Numbers go on, and what was found before keeps its number.
/// </summary>
/// <param name="finder">Searches.</param>
/// <param name="earlier">What earlier turns of the conversation were shown.</param>
/// <param name="searched">Told after each search.</param>
internal sealed partial class Retrieval(SourceFinder finder, IReadOnlyList<Source> earlier, Action<Retrieval> searched)
{
    private readonly Lock _lock = new();
    private readonly List<Source> _sources = [.. earlier];
    private readonly List<SearchHit> _hits = [];
    private readonly Dictionary<string, IReadOnlyList<Source>> _searches = [];

    /// <summary>Whether there was a search that gave the model nothing, and none that gave it something.</summary>
    public bool FoundNothing
    {
        get
        {
            lock (_lock)
                return _searches.Count > 0 && _searches.Values.All(found => found.Count == 0);
        }
    }

    /// <summary>What the model was shown, in the order of the numbers.</summary>
    public IReadOnlyList<Source> Sources
    {
        get
        {
            lock (_lock)
                return [.. _sources];
        }
    }

    /// <summary>All passages found, those too of which the model was shown nothing.</summary>
    public IReadOnlyList<SearchHit> Hits
    {
        get
        {
            lock (_lock)
                return [.. _hits];
        }
    }

    /// <summary>Searches, and gives what was found, numbered. The same words are not searched for twice.</summary>
    public async Task<IReadOnlyList<Source>> SearchAsync(string query, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (_searches.TryGetValue(query, out var known))
                return known;
        }

        var found = await finder.FindAsync(query, cancellationToken);
        List<Source> numbered = [];
        lock (_lock)
        {
            _hits.AddRange(found.Hits.Where(hit => _hits.All(known => known.Passage != hit.Passage)));
            foreach (var part in found.Shown)
            {
                var source = _sources.FirstOrDefault(known => known.Hit.Passage == part.Hit.Passage && known.Part.Start == part.Start && known.Text == part.Text);
                if (source is null)
                    _sources.Add(source = new(_sources.Count + 1, part));
                numbered.Add(source);
            }

            _searches[query] = numbered;
        }

        searched(this);
        return numbered;
    }

    /// <summary>
    /// As the model reads them: a line for each, with its number. Marks of a document's own, such as [1], are not to be taken for numbers
    /// of sources.
    /// </summary>
    public static string Format(IEnumerable<Source> sources) => string.Join('\n', sources.Select(source => $"[{source.Number}] {Space().Replace(OwnMark().Replace(source.Text, "($1)"), " ").Trim()}"));

    [GeneratedRegex(@"\[(\d{1,9})\]")]
    private static partial Regex OwnMark();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Space();
}
