using System.Text.RegularExpressions;
using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>
/// Everything found for one question, over all its searches. Numbering continues from earlier turns, and a source that was found before
/// keeps its number.
/// </summary>
/// <param name="finder">Finds sources for a query.</param>
/// <param name="earlier">The sources that earlier turns of the conversation were shown.</param>
/// <param name="searched">Called after each search.</param>
internal sealed partial class Retrieval(SourceFinder finder, IReadOnlyList<Source> earlier, Action<Retrieval> searched)
{
    private readonly Lock _lock = new();
    private readonly List<Source> _sources = [.. earlier];
    private readonly List<SearchHit> _hits = [];
    private readonly Dictionary<string, IReadOnlyList<Source>> _searches = [];

    /// <summary>Whether there was a search, and no search gave the model a source.</summary>
    public bool FoundNothing
    {
        get
        {
            lock (_lock)
                return _searches.Count > 0 && _searches.Values.All(found => found.Count == 0);
        }
    }

    /// <summary>The sources that the model was shown, in the order of their numbers.</summary>
    public IReadOnlyList<Source> Sources
    {
        get
        {
            lock (_lock)
                return [.. _sources];
        }
    }

    /// <summary>All passages found, including those of which the model was shown nothing.</summary>
    public IReadOnlyList<SearchHit> Hits
    {
        get
        {
            lock (_lock)
                return [.. _hits];
        }
    }

    /// <summary>Searches and returns the numbered sources. The same query is not searched for twice.</summary>
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
    /// The sources as the model reads them: a line for each, with its number. A document's own marks, such as [1], are rewritten, so that
    /// the model does not take them for source numbers.
    /// </summary>
    public static string Format(IEnumerable<Source> sources) => string.Join('\n', sources.Select(source => $"[{source.Number}] {Space().Replace(OwnMark().Replace(source.Text, "($1)"), " ").Trim()}"));

    [GeneratedRegex(@"\[(\d{1,9})\]")]
    private static partial Regex OwnMark();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Space();
}
