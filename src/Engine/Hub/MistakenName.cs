using System.Text.RegularExpressions;

namespace LocalLlm.Hub;

/// <summary>Explains a model name that is neither a folder nor a repository's name.</summary>
internal static partial class MistakenName
{
    private const string Files = "config.json, *.safetensors and tokenizer.json";
    private const string Folder = $"name a folder with {Files}, or a repository of a hub as org/name or org/name@revision";
    private const string Other = "which this build does not read; give the folder of the same model with config.json and *.safetensors, or its name on a hub as org/name";
    private const int MaxLetters = 2;
    private const int MaxFolders = 1000;

    /// <summary>What is wrong with the name and what to give instead; begins with a verb.</summary>
    public static string FaultOf(string text)
    {
        if (DanglingTarget(text) is { } target)
            return $"is a link to '{target}', which does not exist; restore what it leads to, or {Folder}";
        if (File.Exists(text))
            return FaultOfFile(text);
        if (OtherAddress().Match(text) is { Success: true } other)
            return FaultOfAddress(other.Groups["scheme"].Value.ToLowerInvariant(), other.Groups["rest"].Value);
        if (OllamaName().IsMatch(text) && !Path.IsPathRooted(text))
            return FaultOfOllama(text);
        if (WebAddress().Match(text) is { Success: true } address)
            return "is a web address; " + (address.Groups["name"] is { Success: true, Value: var name } ? $"give the model's name on the hub as org/name, {name}" : Folder);
        if (text.StartsWith('~'))
        {
            var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            return $"is not a folder: only shells expand ~; give the full path, such as {Path.Combine(home, text.TrimStart('~', '/'))}, or a repository as org/name";
        }

        return Path.Exists(text) ? $"is no folder and no file; {Folder}" : $"is not a folder{Nearest(text)}; {Folder}";
    }

    /// <summary>A hint for a repository name that the hub does not know and that may be a mistyped path; else empty.</summary>
    public static string HintOf(string repository) =>
        Directory.Exists(Path.GetDirectoryName(repository)) ? $" If a local folder is meant: there is no '{repository}'{Nearest(repository)}." : "";

    private static string FaultOfOllama(string name) =>
        "looks like an Ollama name; Ollama's models are GGUF files, which this build does not read; "
        + $"give the model's folder, or its name on a hub as org/name, such as {OnHub(name)}";

    private static string FaultOfAddress(string scheme, string rest) => scheme switch
    {
        "ollama" => FaultOfOllama(rest),
        "file" => $"is the address of a file; give the path alone, {(rest.StartsWith('/') ? rest : "/" + rest)}",
        "hf" or "huggingface" or "modelscope" => $"is an address of a hub; give the model's name alone as org/name, such as {rest}",
        _ => $"is an address that this build does not read ({scheme}://); copy the model to this machine, and {Folder}",
    };

    // The target of a dangling link; null: it is no such link.
    private static string? DanglingTarget(string text)
    {
        try
        {
            var link = text.Length == 0 ? null : new FileInfo(Path.TrimEndingDirectorySeparator(text));
            return link?.LinkTarget is { } target && link.ResolveLinkTarget(returnFinalTarget: true) is not { Exists: true } && !Directory.Exists(text)
                ? target
                : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }

    private static string FaultOfFile(string path)
    {
        var parent = Path.GetDirectoryName(Path.GetFullPath(path))!;
        return Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".gguf" or ".ggml" => "is a GGUF file, " + Other,
            ".safetensors" or ".bin" or ".pt" or ".pth" or ".json" or ".jinja" or ".model" or ".txt" when FolderKind.FaultOf(parent) is null =>
                $"is a file of a model, not its folder; give the folder, {parent}",
            ".safetensors" => $"is a file of weights, not a folder; give the folder that holds {Files}",
            ".onnx" => "is an ONNX file, " + Other,
            ".zip" or ".tar" or ".gz" or ".tgz" or ".xz" or ".zst" or ".7z" => $"is an archive, not a folder; unpack it, and give the folder that holds {Files}",
            _ => $"is a file, not a folder; name the folder that holds {Files}",
        };
    }

    // The R1 distills, by Ollama's names for their sizes; any other name only shows the form.
    private static string OnHub(string name) => DeepSeekR1().Match(name).Groups["size"].Value.ToLowerInvariant() switch
    {
        "1.5b" => "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
        "8b" => "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
        "14b" => "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
        "32b" => "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
        "70b" => "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
        _ => "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
    };

    // A model folder next to the path whose name differs by a typo: at most two letters, and less than a third of the name.
    private static string Nearest(string text)
    {
        if (text.Length is 0 or > 4096 || text.Contains('\0', StringComparison.Ordinal))
            return "";
        var whole = Path.TrimEndingDirectorySeparator(Path.GetFullPath(text));
        var name = Path.GetFileName(whole);
        if (Path.GetDirectoryName(whole) is not { } parent || !Directory.Exists(parent))
            return "";
        try
        {
            var similar = Directory.EnumerateDirectories(parent).Take(MaxFolders)
                .Select(path => (Path: path, Distance: Distance(name, Path.GetFileName(path))))
                .Where(other => other.Distance <= MaxLetters && 3 * other.Distance < name.Length && FolderKind.FaultOf(other.Path) is null)
                .OrderBy(other => other.Distance).Select(other => other.Path).FirstOrDefault();
            if (similar is null)
                return "";
            var near = Path.GetRelativePath(Directory.GetCurrentDirectory(), similar);
            return $" (is it {(near.StartsWith("..", StringComparison.Ordinal) ? similar : near)}?)";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    // The Levenshtein distance, ignoring case.
    private static int Distance(string from, string to)
    {
        if (Math.Abs(from.Length - to.Length) > MaxLetters)
            return int.MaxValue;
        var row = Enumerable.Range(0, to.Length + 1).ToArray();
        for (var i = 1; i <= from.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= to.Length; j++)
            {
                var replaced = diagonal + (char.ToLowerInvariant(from[i - 1]) == char.ToLowerInvariant(to[j - 1]) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, 1 + Math.Min(row[j], row[j - 1]));
            }
        }

        return row[to.Length];
    }

    private const string Hubs = @"(?:huggingface\.co|hf\.co|hf-mirror\.com|modelscope\.cn/models|modelscope\.ai/models)";

    [GeneratedRegex(
        @"\A(?:https?://(?:(?:www\.)?" + Hubs + @"/(?<name>[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+))?|(?:www\.)?" + Hubs + "/(?<name>[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+))",
        RegexOptions.IgnoreCase)]
    private static partial Regex WebAddress();

    // Every address except that of a web page.
    [GeneratedRegex(@"\A(?!https?:)(?<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?<rest>.*)\z", RegexOptions.IgnoreCase | RegexOptions.Singleline)]
    private static partial Regex OtherAddress();

    [GeneratedRegex(@"\A(?:[A-Za-z0-9_.-]+/){0,3}[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+\z")]
    private static partial Regex OllamaName();

    [GeneratedRegex(@"\A(?:library/)?deepseek-r1:(?<size>[0-9.]+b)", RegexOptions.IgnoreCase)]
    private static partial Regex DeepSeekR1();
}
