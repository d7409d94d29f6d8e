using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>
/// The sampling defaults that a model ships in generation_config.json. Null: the file does not say, and the engine's default applies.
/// <para>
/// As in vLLM, temperature and the other sampling values apply whether or not <c>do_sample</c> is true (transformers would decode greedily
/// where it is false). Unknown fields are ignored.
/// </para>
/// </summary>
internal sealed record GenerationConfig
{
    /// <summary>The file's name.</summary>
    public const string FileName = "generation_config.json";

    private const int MaxBytes = 4 << 20;

    /// <summary>0 to 2; 0 is greedy.</summary>
    public double? Temperature { get; init; }

    /// <summary>Above 0, at most 1.</summary>
    public double? TopP { get; init; }

    /// <summary>0 or -1 is off.</summary>
    public int? TopK { get; init; }

    /// <summary>0 to 1.</summary>
    public double? MinP { get; init; }

    /// <summary>Above 0.</summary>
    public double? RepetitionPenalty { get; init; }

    /// <summary>Max tokens that any request may generate (vLLM reads it as a cap); at least 1.</summary>
    public int? MaxNewTokens { get; init; }

    /// <summary>As written; the engine does not use it (see the type's summary).</summary>
    public bool? DoSample { get; init; }

    /// <summary>End-of-sequence ids; from config.json where this file has none. May be empty.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>Beginning-of-sequence id; from config.json where this file has none.</summary>
    public int? BosTokenId { get; init; }

    /// <summary>Padding id; null where the file has none or a negative one.</summary>
    public int? PadTokenId { get; init; }

    /// <summary>Reads generation_config.json of a model folder. Without the file only the ids of config.json are set.</summary>
    /// <exception cref="EngineException">
    /// The file is malformed (<see cref="EngineErrorKind.ModelFolder"/>); one error lists every problem.
    /// </exception>
    public static GenerationConfig Load(string folder, ModelConfig model) =>
        Path.Exists(Path.Combine(folder, FileName))
            ? Parse(ModelFolderFile.ReadJson(folder, FileName, MaxBytes), model)
            : new GenerationConfig { EosTokenIds = model.EosTokenIds, BosTokenId = model.BosTokenId };

    /// <summary>Reads the text of a generation_config.json.</summary>
    /// <exception cref="EngineException">As <see cref="Load"/>.</exception>
    public static GenerationConfig Parse(ReadOnlyMemory<byte> utf8, ModelConfig model)
    {
        using var document = ModelFolderFile.ParseObject(FileName, utf8);
        var problems = new ModelFolderProblems(FileName);
        var fields = new ModelConfigFields(document.RootElement, "", problems);
        var config = new GenerationConfig
        {
            Temperature = fields.Number("temperature", 0, 2),
            TopP = fields.PositiveNumber("top_p", 1),
            TopK = fields.Int("top_k", -1, int.MaxValue),
            MinP = fields.Number("min_p", 0, 1),
            RepetitionPenalty = fields.PositiveNumber("repetition_penalty", 1e6),
            MaxNewTokens = fields.Int("max_new_tokens", 1, int.MaxValue),
            DoSample = fields.Bool("do_sample"),
            EosTokenIds = fields.TokenIds("eos_token_id", model.VocabSize) ?? model.EosTokenIds,
            BosTokenId = fields.Int("bos_token_id", 0, model.VocabSize - 1) ?? model.BosTokenId,
            PadTokenId = fields.Int("pad_token_id", int.MinValue, int.MaxValue) is { } pad and >= 0 ? pad : null,
        };
        problems.ThrowIfAny();
        return config;
    }
}
