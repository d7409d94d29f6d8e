using System.Globalization;
using System.Text;

namespace LocalLlm.Weights;

/// <summary>Collects the problems of one file of a model folder, so that one error can list them all.</summary>
/// <param name="file">The file's name without the folder's path.</param>
internal sealed class ModelFolderProblems(string file)
{
    /// <summary>Max problems listed in full; the rest are only counted.</summary>
    public const int MaxListed = 20;

    private const int MaxQuotedLength = 80;

    private readonly List<string> _listed = [];

    /// <summary>The file's name.</summary>
    public string File => file;

    /// <summary>Number of problems so far, listed or not.</summary>
    public int Count { get; private set; }

    /// <summary>Adds one problem: the field, the value found, the value wanted.</summary>
    public void Add(string problem)
    {
        Count++;
        if (_listed.Count < MaxListed)
            _listed.Add(problem);
    }

    /// <summary>Throws if there is any problem.</summary>
    /// <exception cref="EngineException">One <see cref="EngineErrorKind.ModelFolder"/> error that lists them all.</exception>
    public void ThrowIfAny()
    {
        if (Count == 0)
            return;
        if (Count == 1)
            throw EngineException.ModelFolder(file, _listed[0]);

        var text = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"{Count:N0} problems:"));
        foreach (var problem in _listed)
            text.Append("\n- ").Append(problem);
        if (Count > _listed.Count)
            text.Append(CultureInfo.InvariantCulture, $"\n- and {Count - _listed.Count:N0} more");
        throw EngineException.ModelFolder(file, text.ToString());
    }

    /// <summary>
    /// Text from an untrusted file for a message: in single quotes, control characters and lone surrogates escaped, truncated if long.
    /// </summary>
    public static string Quote(string text)
    {
        var quoted = new StringBuilder("'", Math.Min(text.Length, MaxQuotedLength) + 16);
        for (var i = 0; i < text.Length; i++)
        {
            if (i >= MaxQuotedLength)
            {
                quoted.Append(CultureInfo.InvariantCulture, $"…' ({text.Length:N0} characters)");
                return quoted.ToString();
            }

            var c = text[i];
            if (char.IsHighSurrogate(c) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
                quoted.Append(c).Append(text[++i]);
            else if (char.IsControl(c) || char.IsSurrogate(c) || CharUnicodeInfo.GetUnicodeCategory(c) == UnicodeCategory.Format)
                quoted.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                quoted.Append(c);
        }

        return quoted.Append('\'').ToString();
    }
}
