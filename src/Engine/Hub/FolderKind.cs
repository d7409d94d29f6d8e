using System.Text.Json;

namespace LocalLlm.Hub;

/// <summary>
/// Tells a model folder from other folders: another format, an adapter, quantised weights, a parent of models. It looks at names, and at
/// the small JSON files that say what a folder is. Faults inside a model folder are left to its readers.
/// </summary>
internal static class FolderKind
{
    private const int MaxJsonBytes = 4 << 20;
    private const int MaxEntries = 10_000;
    private const int MaxNamed = 4;
    private const string Config = "config.json";
    private const string Adapter = "adapter_config.json";

    // Suffix of a file, or the whole name of a file or folder → the format that has it.
    private static readonly (string Name, string Format)[] Formats =
    [
        (".gguf", "a GGUF model"),
        (".onnx", "an ONNX model"),
        ("onnx/", "an ONNX model"),
        ("openvino_model.xml", "an OpenVINO model"),
        (".engine", "a TensorRT engine"),
        (".mlpackage/", "a Core ML model"),
        (".mlmodelc/", "a Core ML model"),
        (".tflite", "a TensorFlow Lite model"),
        (".task", "a MediaPipe model"),
        (".pte", "an ExecuTorch model"),
        ("tf_model.h5", "a TensorFlow model"),
        ("flax_model.msgpack", "a Flax model"),
        ("consolidated.00.pth", "a model in Meta's original format"),
        ("consolidated.safetensors", "a model in Mistral's original format"),
        ("model_index.json", "a pipeline of diffusers"),
    ];

    /// <summary>Why a local folder cannot be loaded as a model, and what to give instead; begins with a verb. Null: it looks
    /// like a model.</summary>
    /// <param name="folder">An existing folder.</param>
    public static string? FaultOf(string folder)
    {
        List<string> names;
        try
        {
            // The names of folders end with a slash.
            var entries = new DirectoryInfo(folder).EnumerateFileSystemInfos().Take(MaxEntries);
            names = [.. entries.Select(entry => entry.Name + (IsFolder(entry) ? "/" : "")).Order(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "cannot be listed; may this process read it?";
        }

        if (HubCache.SnapshotsIn(folder) is { } snapshots)
            return FaultOfCache(folder, snapshots);
        if (FaultOfNames(names, file => Read(Path.Combine(folder, file))) is { } fault)
            return fault;
        if (names.Contains(Config) && HasWeights(names))
            return names.Find(name => IsPointer(Path.Combine(folder, name))) is not { } pointer ? null :
                $"was cloned without Git LFS: {pointer} is a pointer to its content; run 'git lfs pull' in it";
        if (names.Count == 0)
            return $"is empty; a model folder holds {Config}, *.safetensors and tokenizer.json";
        if (!names.Contains(Config) && ModelsBelow(folder, names) is { Count: > 0 } models)
        {
            var (count, which) = models.Count == 1 ? ("one", "that one") : ("several", "one of them");
            var listed = string.Join(", ", models.Take(MaxNamed)) + (models.Count > MaxNamed ? $" and {models.Count - MaxNamed} more" : "");
            return $"is no model folder but holds {count} ({listed}); give {which}, such as {Path.Combine(folder, models[0])}";
        }

        var hasTokenizer = names.Exists(name => name is "tokenizer.json" or "tokenizer.model" or "vocab.json" or "tokenizer_config.json");
        var (hasConfig, hasWeights) = (names.Contains(Config), HasWeights(names));
        var parts = Named((hasConfig, $"a configuration ({Config})"), (hasTokenizer, "a tokenizer"), (hasWeights, "weights"));
        var missing = Named((!hasConfig, Config), (!hasWeights, "weights (model.safetensors)"));
        return parts.Length == 0
            ? $"holds no model: there is no {Config}, and no *.safetensors; name a folder with both and with tokenizer.json"
            : $"holds {string.Join(" and ", parts)}, but no {string.Join(" and no ", missing)}; "
                + "download the whole model, or name a folder that has all of it";
    }

    private static string[] Named(params ReadOnlySpan<(bool Is, string Name)> things)
    {
        var names = new List<string>();
        foreach (var (applies, name) in things)
        {
            if (applies)
                names.Add(name);
        }

        return [.. names];
    }

    /// <summary>The same for a list of names alone, such as a hub's; null: the names show no fault.</summary>
    /// <param name="names">Files, and folders with a slash at the end.</param>
    /// <param name="read">Returns the JSON of a small file, or null.</param>
    public static string? FaultOfNames(IReadOnlyList<string> names, Func<string, JsonElement?> read)
    {
        var isModel = names.Contains(Config) && HasWeights(names);
        if (names.Contains(Adapter) && !isModel)
        {
            var model = read(Adapter)?.Text("base_model_name_or_path");
            return $"holds a LoRA adapter{(model is null ? "" : $" of {SafeNames.Quote(model)}")} and no model; adapters are not supported: "
                + "give the model itself, or merge the adapter into it (merge_and_unload of PEFT) and give the result";
        }

        if (QuantisedBy(names, read) is { } method)
        {
            return $"holds weights quantised with {method}, which this build does not read; "
                + "give the unquantised model (bfloat16, float16 or float32), or one in FP8";
        }

        if (isModel)
            return null;
        foreach (var (name, format) in Formats)
        {
            if (names.FirstOrDefault(Is) is { } found)
            {
                return $"holds {format} ({SafeNames.Quote(found.TrimEnd('/'))}), which this build does not read; "
                    + $"give the same model as Hugging Face publishes it, with {Config} and *.safetensors";
            }

            bool Is(string file) => name[0] == '.' ? file.EndsWith(name, StringComparison.OrdinalIgnoreCase) : file == name;
        }

        return null;
    }

    private static bool HasWeights(IReadOnlyList<string> names) => names.Any(name =>
        (name.EndsWith(".safetensors", StringComparison.Ordinal) && !name.StartsWith("adapter_", StringComparison.Ordinal))
        || name is "pytorch_model.bin" or ModelFiles.IndexName or ModelFiles.PickleIndexName);

    // Quantised weights have other names and types than a reader of the configuration expects if it does not know the quantisation.
    private static string? QuantisedBy(IReadOnlyList<string> names, Func<string, JsonElement?> read)
    {
        if (names.Contains(Config) && read(Config) is { } config)
        {
            foreach (var section in (string[])["quantization_config", "compression_config"])
            {
                if (config.Member(section) is { ValueKind: JsonValueKind.Object } given)
                {
                    // The model's own reader reads these, with their whole section.
                    if (given.Text("quant_method") is "fp8" or "compressed-tensors" && section == "quantization_config")
                        continue;
                    return given.Text("quant_method") is { } method
                        ? $"{SafeNames.Quote(method)} ({Config}, {section})"
                        : $"a method that {section} of {Config} does not name";
                }
            }

            if (config.Member("quantization") is { ValueKind: JsonValueKind.Object })
                return $"MLX ({Config}, quantization)";
        }

        return names.Contains("hf_quant_config.json") ? "ModelOpt (hf_quant_config.json)"
            : names.Contains("quantize_config.json") ? "GPTQ (quantize_config.json)"
            : names.Contains("quant_config.json") ? "AWQ (quant_config.json)"
            : null;
    }

    private static string FaultOfCache(string folder, IReadOnlyList<string> snapshots)
    {
        var repository = HubCache.RepositoryOf(folder) ?? "a model";
        return snapshots.Count == 0
            ? $"is the hub's cache of {repository} and holds no snapshot of it; give {repository}, which is downloaded"
            : $"is the hub's cache of {repository} with {snapshots.Count} snapshots; "
                + $"give {repository}, or one of them, such as {snapshots[0]}";
    }

    // Names of model folders one or two levels down.
    private static List<string> ModelsBelow(string folder, List<string> names)
    {
        var models = new List<string>();
        foreach (var name in names.Where(name => name[^1] == '/').Select(name => name[..^1]).Take(MaxEntries / 100))
        {
            var below = Path.Combine(folder, name);
            if (IsModel(below))
                models.Add(name);
            else
                models.AddRange(FoldersIn(below).Where(IsModel).Select(inner => Path.Combine(name, Path.GetFileName(inner))));
        }

        return models;

        static bool IsModel(string path) => File.Exists(Path.Combine(path, Config)) || HubCache.SnapshotsIn(path) is { Count: > 0 };
    }

    private static IEnumerable<string> FoldersIn(string folder)
    {
        try
        {
            return [.. Directory.EnumerateDirectories(folder).Take(MaxEntries / 100).Order(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static bool IsFolder(FileSystemInfo entry) =>
        entry is DirectoryInfo || (entry.LinkTarget is not null && Directory.Exists(entry.FullName));

    private static bool IsPointer(string path)
    {
        if (!path.EndsWith(".safetensors", StringComparison.Ordinal) || Disk.Length(path) is null or 0 or > 1024)
            return false;
        try
        {
            return File.ReadAllText(path).StartsWith("version https://git-lfs", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>The JSON of a small file; null: it does not exist or cannot be read.</summary>
    public static JsonElement? Read(string path)
    {
        // Pipes and devices report length 0 and must not be opened.
        if (Disk.Length(path) is null or 0 or > MaxJsonBytes)
            return null;
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(path));
            return json.RootElement.Clone();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            // The model's reader reports what is wrong with the file.
            return null;
        }
    }
}
