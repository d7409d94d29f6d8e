using LocalLlm.Server.OpenAI;
using Microsoft.Extensions.Options;

namespace LocalLlm.Server.Http;

/// <summary>Validates all options of a server when its host starts, and reports all errors at once.</summary>
internal sealed class LocalLlmServerOptionsValidator : IValidateOptions<LocalLlmServerOptions>
{
    // The maximum of a timer.
    private static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(int.MaxValue);

    /// <inheritdoc/>
    public ValidateOptionsResult Validate(string? name, LocalLlmServerOptions options)
    {
        var faults = new List<string>();
        Require(options.ApiKeys.All(key => key is not null && Http.ApiKeys.IsKey(key)), nameof(options.ApiKeys), "has a key that is empty or has characters beyond printable ASCII");
        Require(options.ModelAliases.All(alias => !string.IsNullOrWhiteSpace(alias)), nameof(options.ModelAliases), "has an empty name");
        Require(options.MaxRequestBodyBytes > 0, nameof(options.MaxRequestBodyBytes), $"is {options.MaxRequestBodyBytes}; above 0");
        Require(options.MaxQueuedSequences >= 0, nameof(options.MaxQueuedSequences), $"is {options.MaxQueuedSequences}; 0 or more");
        Require(options.MaxEventsPerSecond is null or >= 0, nameof(options.MaxEventsPerSecond), $"is {options.MaxEventsPerSecond}; 0 (one for every token) or more, or null");
        RequireTime(options.RequestBodyTimeout, TimeSpan.FromTicks(1), nameof(options.RequestBodyTimeout));
        RequireTime(options.StallTimeout, TimeSpan.FromTicks(1), nameof(options.StallTimeout));
        RequireTime(options.ReadyWithin, TimeSpan.FromTicks(1), nameof(options.ReadyWithin));
        RequireTime(options.AnswersAfterFailure, TimeSpan.Zero, nameof(options.AnswersAfterFailure));
        RequireTime(options.ShutdownTimeout, TimeSpan.Zero, nameof(options.ShutdownTimeout));
        Require(!string.IsNullOrWhiteSpace(options.ResponseRole), nameof(options.ResponseRole), "is empty; give a role, such as assistant");
        try
        {
            TemplateVariables.Parse(options.DefaultChatTemplateKwargs);
        }
        catch (FormatException failure)
        {
            faults.Add($"{nameof(options.DefaultChatTemplateKwargs)}: {failure.Message}");
        }

        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults.Select(fault => $"{LocalLlmServerOptions.SectionName}: {fault}"));

        void Require(bool isRight, string option, string fault)
        {
            if (!isRight)
                faults.Add($"{option} {fault}");
        }

        void RequireTime(TimeSpan given, TimeSpan least, string option) =>
            Require(given >= least && given <= Longest, option, $"is {given}; {(least == TimeSpan.Zero ? "zero or more" : "above zero")}, at most {Longest}");
    }
}
