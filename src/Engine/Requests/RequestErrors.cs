using System.Globalization;

namespace LocalLlm.Requests;

/// <summary>
/// Gathers every fault of one request, so that the caller learns all of them at once. The message shows at most
/// 20: a hostile request must not get a long response. Not safe for concurrent use.
/// </summary>
public sealed class RequestErrors
{
    /// <summary>How many faults the message shows; it counts the rest.</summary>
    internal const int MaxShown = 20;

    private const int MaxGivenLength = 64;
    private readonly List<string> _messages = [];
    private string? _parameter;
    private int _unsupported;

    /// <summary>Number of faults so far.</summary>
    public int Count { get; private set; }

    /// <summary>Records one fault as "<paramref name="field"/>: given X, allowed Y".</summary>
    /// <param name="field">The field under its vLLM name.</param>
    /// <param name="given">What was found; long text is cut.</param>
    /// <param name="allowed">What is allowed and, where useful, what to do.</param>
    public void Add(string field, string given, string allowed) =>
        Record(field, $"{Printable(field)}: given {Printable(given)}, allowed {allowed}");

    /// <inheritdoc cref="Add(string, string, string)"/>
    public void Add(string field, double given, string allowed) => Add(field, given.ToString("R", CultureInfo.InvariantCulture), allowed);

    /// <summary>Records a field that the engine knows but does not support.</summary>
    public void AddUnsupported(string field)
    {
        Record(field, $"{Printable(field)} is not supported: remove it");
        _unsupported++;
    }

    /// <summary>Records that a field's value cannot be used.</summary>
    /// <param name="field">The field under its vLLM name.</param>
    /// <param name="what">What the value is, such as "the pattern".</param>
    /// <param name="reason">Why; begins with the place in the value, if known.</param>
    internal void AddUnusable(string field, string what, string reason) =>
        Record(field, $"{Printable(field)}: {what} cannot be used: {reason}");

    /// <summary>Records a value that the engine knows but does not support, of a field that it supports.</summary>
    /// <param name="field">The field under its vLLM name.</param>
    /// <param name="given">The value; long text is cut.</param>
    /// <param name="supported">The values that are supported.</param>
    public void AddUnsupported(string field, string given, string supported)
    {
        Record(field, $"{Printable(field)}: {Printable(given)} is not supported; supported are {supported}");
        _unsupported++;
    }

    /// <summary>Throws one <see cref="EngineErrorKind.InvalidRequest"/> that lists every fault, if there is any.</summary>
    /// <exception cref="EngineException">At least one fault was recorded.</exception>
    public void ThrowIfAny()
    {
        if (Count == 0)
            return;
        var more = Count > _messages.Count ? $"; and {Count - _messages.Count} more" : "";
        throw new EngineException(EngineErrorKind.InvalidRequest, string.Join("; ", _messages) + more, _parameter) { IsUnsupported = _unsupported == Count };
    }

    private void Record(string field, string message)
    {
        Count++;
        _parameter ??= Printable(field);
        if (_messages.Count < MaxShown)
            _messages.Add(message);
    }

    /// <summary>Cuts a text to a bounded length and replaces control characters, because it may come from anyone.</summary>
    public static string Printable(string text)
    {
        var cut = text.Length > MaxGivenLength;
        var length = cut ? MaxGivenLength : text.Length;
        // Do not split a surrogate pair: half of one is not valid UTF-8.
        if (cut && char.IsHighSurrogate(text[length - 1]))
            length--;
        return string.Create(length + (cut ? 1 : 0), (text, length), static (span, source) =>
        {
            for (var i = 0; i < source.length; i++)
                span[i] = char.IsControl(source.text[i]) ? '\uFFFD' : source.text[i];
            if (span.Length > source.length)
                span[^1] = '…';
        });
    }
}
