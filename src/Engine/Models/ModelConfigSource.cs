using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>An untrusted config.json from which a family reads its record.</summary>
/// <param name="Fields">The top of the file.</param>
/// <param name="Problems">Collects every problem; one error lists them all after the family has read the file.</param>
/// <param name="Architecture">
/// The model class to build: the first of <paramref name="Architectures"/> that this build knows.
/// </param>
/// <param name="Architectures"><c>architectures</c> as written.</param>
/// <param name="ModelType"><c>model_type</c>; where it is absent, the architecture's.</param>
internal sealed record ModelConfigSource(
    ModelConfigFields Fields, ModelFolderProblems Problems, string Architecture, IReadOnlyList<string> Architectures, string ModelType)
{
    private const int MaxVocab = 4 << 20;

    /// <summary><c>vocab_size</c>.</summary>
    public int? VocabSize() => Fields.RequiredInt("vocab_size", 1, MaxVocab);

    /// <summary><c>bos_token_id</c>. An explicit null means none; only an absent id has a default.</summary>
    public int? BosTokenId(int? whenAbsent, int? vocab) =>
        Fields.Has("bos_token_id") ? Fields.Int("bos_token_id", 0, (vocab ?? MaxVocab) - 1) : InVocab(whenAbsent, vocab);

    /// <summary><c>eos_token_id</c>, read like <see cref="BosTokenId"/>; one or several.</summary>
    public IReadOnlyList<int> EosTokenIds(int? whenAbsent, int? vocab)
    {
        if (Fields.Has("eos_token_id"))
            return Fields.TokenIds("eos_token_id", vocab ?? MaxVocab) ?? [];
        return InVocab(whenAbsent, vocab) is { } eos ? [eos] : [];
    }

    /// <summary>For a family without quantised weights: refuses fields that say the weights are quantised.</summary>
    public void RefuseQuantization()
    {
        foreach (var name in (string[])["quantization_config", "compression_config"])
        {
            if (Fields.Value(name) is not { } value)
                continue;
            var method = value.ValueKind == System.Text.Json.JsonValueKind.Object && value.TryGetProperty("quant_method", out var found)
                ? ModelConfigFields.Describe(found)
                : "(not named)";
            Problems.Add($"{name}: found quant_method {method}, which is not supported, wanted unquantised weights");
        }
    }

    /// <summary><c>quantization_config</c>; null: the weights are unquantised.</summary>
    public QuantizationConfig? Quantization() => QuantizationConfigReader.Read(Fields);

    private static int? InVocab(int? id, int? vocab) => id < vocab ? id : null;
}
