using Microsoft.Extensions.Options;

namespace LocalLlm.Extensions.AI;

/// <summary>Checks options before anything is loaded: what the engine would refuse, all of it at once.</summary>
internal sealed class LocalLlmOptionsValidator : IValidateOptions<LocalLlmOptions>
{
    /// <inheritdoc/>
    public ValidateOptionsResult Validate(string? name, LocalLlmOptions options)
    {
        try
        {
            EngineOptionsValidator.Validate(options.ToEngineOptions());
            return ValidateOptionsResult.Success;
        }
        catch (EngineException failure)
        {
            var engine = string.IsNullOrEmpty(name) ? LocalLlmOptions.SectionName : $"{LocalLlmOptions.SectionName}:{name}";
            return ValidateOptionsResult.Fail($"{engine}: {failure.Message}");
        }
    }
}
