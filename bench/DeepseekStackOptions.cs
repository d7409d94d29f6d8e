namespace LocalLlm.Bench;

/// <summary>What to measure of a stack of DeepSeek-V3's layers.</summary>
/// <param name="Shape">Widths of a layer.</param>
/// <param name="Device">auto, cpu, cuda or cuda:N.</param>
/// <param name="Dense">Dense layers.</param>
/// <param name="Mixtures">Layers with experts.</param>
/// <param name="Vocabulary">Tokens of the output head.</param>
/// <param name="Context">Tokens in a sequence's cache in the middle of a decode run.</param>
/// <param name="Steps">Decode steps of a run.</param>
/// <param name="Prompt">Tokens of the prefilled prompt.</param>
/// <param name="Rounds">Runs of everything.</param>
/// <param name="IsProfiled">Whether one prompt and a few decode steps are marked for a profiler, and nothing is measured.</param>
/// <param name="TensorParallel">Cards that the layers are split over.</param>
/// <param name="ExpertParallel">Whether each rank has whole experts.</param>
internal sealed record DeepseekStackOptions(
    DeepseekShape Shape, string Device, int Dense, int Mixtures, int Vocabulary, int Context, int Steps, int Prompt, int Rounds,
    bool IsProfiled, int TensorParallel = 1, bool ExpertParallel = false)
{
    /// <summary>Dense layers and those with experts.</summary>
    public int Layers => Dense + Mixtures;

    /// <summary>Tokens of a decoded prompt, so that the context is as asked for in the middle of its run.</summary>
    public int DecodePrompt => Math.Max(1, Context - (Steps / 2));

    /// <summary>Max number of tokens of a step: the prompt is computed in one.</summary>
    public int StepTokens => Math.Max(Prompt, 64);

    /// <summary>Steps that other sequences decode alone while the last one's prompt is computed.</summary>
    public int Lead(int sequences) => (sequences * DecodePrompt / (StepTokens - sequences)) + 2;
}
