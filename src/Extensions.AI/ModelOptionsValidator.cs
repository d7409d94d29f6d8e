using Microsoft.Extensions.Options;

namespace LocalLlm.Extensions.AI;

/// <summary>Checks options before anything is loaded: what the engine would refuse, all of it at once.</summary>
/// <param name="section">The configuration section, by which the options are blamed.</param>
internal sealed class ModelOptionsValidator<TOptions>(string section) : IValidateOptions<TOptions>
    where TOptions : class, IModelOptions
{
    /// <inheritdoc/>
    public ValidateOptionsResult Validate(string? name, TOptions options)
    {
        try
        {
            options.Validate();
            return ValidateOptionsResult.Success;
        }
        catch (EngineException failure)
        {
            return ValidateOptionsResult.Fail($"{(string.IsNullOrEmpty(name) ? section : $"{section}:{name}")}: {failure.Message}");
        }
    }
}
