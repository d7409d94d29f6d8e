using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>What sentence-transformers' <c>sentence_bert_config.json</c> says about an encoder's input.</summary>
/// <param name="MaxSequenceLength">Max tokens of a text; null: as many as the model has positions.</param>
internal sealed record SentenceConfig(int? MaxSequenceLength)
{
    private const string FileName = "sentence_bert_config.json";
    private const int MaxBytes = 1 << 20;

    /// <summary>Reads a model folder; the file is optional.</summary>
    /// <exception cref="EngineException">Kind ModelFolder: the file is malformed, or asks for lower-case text.</exception>
    public static SentenceConfig Load(string folder)
    {
        if (!Path.Exists(Path.Combine(folder, FileName)))
            return new((int?)null);
        using var document = ModelFolderFile.ParseObject(FileName, ModelFolderFile.ReadJson(folder, FileName, MaxBytes));
        var problems = new ModelFolderProblems(FileName);
        var fields = new ModelConfigFields(document.RootElement, "", problems);
        if (fields.Bool("do_lower_case") == true)
            fields.Refuse("do_lower_case", "false: only the tokenizer normalises text");
        var length = fields.Int("max_seq_length", 2, int.MaxValue);
        problems.ThrowIfAny();
        return new(length);
    }
}
