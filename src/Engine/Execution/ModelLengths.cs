using LocalLlm.Models;

namespace LocalLlm.Execution;

/// <summary>Refuses a context that is longer than the model's.</summary>
internal static class ModelLengths
{
    /// <summary>Refuses a length that is greater than an encoder's.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void Check(EngineOptions options, int longest) =>
        Check(options, longest, $"takes texts of up to {longest} tokens (config.json, sentence_bert_config.json)");

    /// <summary>Refuses a context longer than the model's.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void Check(EngineOptions options, ModelConfig config) =>
        Check(options, config.MaxModelLength, $"knows positions up to {config.MaxModelLength} ({ModelConfig.FileName})");

    private static void Check(EngineOptions options, long longest, string says)
    {
        if (options.MaxModelLen > longest)
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions, $"max_model_len is {options.MaxModelLen}, but the model {says}. Lower max_model_len.", "max_model_len");
        }
    }
}
