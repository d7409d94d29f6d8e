namespace LocalLlm.Bench;

/// <summary>What to measure for a stack of DeepSeek-V3's layers.</summary>
/// <param name="Shape">Widths of a layer.</param>
/// <param name="Device">auto, cpu, cuda or cuda:N.</param>
/// <param name="Dense">Dense layers.</param>
/// <param name="Mixtures">Layers with experts.</param>
/// <param name="Vocabulary">Tokens of the output head.</param>
/// <param name="Context">Tokens in a sequence's cache in the middle of a decode run.</param>
/// <param name="Steps">Decode steps of a run.</param>
/// <param name="Prompt">Tokens of the prefilled prompt.</param>
/// <param name="Rounds">Runs of everything.</param>
/// <param name="IsProfiled">True: the run marks one prompt and a few decode steps for a profiler and measures nothing.</param>
/// <param name="TensorParallel">Cards that the layers are split over.</param>
/// <param name="ExpertParallel">Whether each rank has whole experts.</param>
internal sealed record DeepseekStackOptions(
    DeepseekShape Shape, string Device, int Dense, int Mixtures, int Vocabulary, int Context, int Steps, int Prompt, int Rounds,
    bool IsProfiled, int TensorParallel = 1, bool ExpertParallel = false)
{
    /// <summary>Number of dense layers and layers with experts together.</summary>
    public int Layers => Dense + Mixtures;

    /// <summary>Tokens of the prompt of a decode run: the context has its requested length halfway through the run.</summary>
    public int DecodePrompt => Math.Max(1, Context - (Steps / 2));

    /// <summary>Max number of tokens of a step: one step computes the whole prompt.</summary>
    public int StepTokens => Math.Max(Prompt, 64);

    /// <summary>Steps in which the first sequences already decode while the prompts of the others are computed.</summary>
    public int Lead(int sequences) => (sequences * DecodePrompt / (StepTokens - sequences)) + 2;
}
