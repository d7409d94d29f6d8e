using System.Globalization;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>The unit by which a reader finds a place.</summary>
internal enum PlaceUnit
{
    /// <summary>Of a PDF.</summary>
    Page,

    /// <summary>Of a Markdown or text file.</summary>
    Line,
}

/// <param name="Offset">Where the page or line begins in a text.</param>
/// <param name="Number">The page or the line, from 1.</param>
internal readonly record struct PlaceStart(int Offset, int Number);

/// <summary>Maps each character of a text to its page or line. Maps with the same places are equal.</summary>
/// <param name="Unit">What is counted.</param>
/// <param name="Starts">"OFFSET:NUMBER" for each place, in order, separated by spaces; the first offset is 0.</param>
internal sealed record PlaceMap(PlaceUnit Unit, string Starts)
{
    /// <summary>Creates the map; null: there are no places.</summary>
    public static PlaceMap? Of(PlaceUnit unit, IEnumerable<PlaceStart> starts)
    {
        var written = string.Join(' ', starts.Select(start => string.Create(CultureInfo.InvariantCulture, $"{start.Offset}:{start.Number}")));
        return written.Length == 0 ? null : new(unit, written);
    }

    /// <summary>Reads what <see cref="ToString"/> writes; null: there is no map.</summary>
    public static PlaceMap? Parse(string? written) => written?.Split(' ', 2) is [var unit, var starts] ? new(Enum.Parse<PlaceUnit>(unit), starts) : null;

    public override string ToString() => $"{Unit} {Starts}";

    /// <summary>The map of a part of the text; its offsets start at that part.</summary>
    public PlaceMap? Slice(int start, int length)
    {
        var all = All();
        var first = Math.Max(0, all.FindLastIndex(place => place.Offset <= start));
        return Of(Unit, all.Skip(first).TakeWhile((place, index) => index == 0 || place.Offset < start + length).Select(place => place with { Offset = Math.Max(0, place.Offset - start) }));
    }

    /// <summary>The page or line of the first and of the last character of a part of the text.</summary>
    public (int First, int Last) At(int start, int length)
    {
        var all = All();
        var first = all.FindLast(place => place.Offset <= start).Number;
        return (first, Math.Max(first, all.FindLast(place => place.Offset < start + Math.Max(1, length)).Number));
    }

    /// <summary>The same in words: "page 2", "lines 3–4".</summary>
    public string Described(int start, int length)
    {
        var (first, last) = At(start, length);
        var unit = Unit == PlaceUnit.Page ? "page" : "line";
        return first == last ? string.Create(CultureInfo.InvariantCulture, $"{unit} {first}") : string.Create(CultureInfo.InvariantCulture, $"{unit}s {first}–{last}");
    }

    private List<PlaceStart> All() => [.. Starts.Split(' ').Select(start => start.Split(':')).Select(parts => new PlaceStart(int.Parse(parts[0], CultureInfo.InvariantCulture), int.Parse(parts[1], CultureInfo.InvariantCulture)))];
}
