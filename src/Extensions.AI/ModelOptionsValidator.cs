using Microsoft.Extensions.Options;

namespace LocalLlm.Extensions.AI;

/// <summary>Validates options before anything is loaded, and reports all that the engine would refuse at once.</summary>
/// <param name="section">The configuration section that error messages name.</param>
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
