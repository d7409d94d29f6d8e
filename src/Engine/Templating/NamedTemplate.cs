using LocalLlm.Jinja;

namespace LocalLlm.Templating;

/// <summary>One parsed template of a model, with what its text reveals about it.</summary>
internal sealed class NamedTemplate
{
    private readonly string _file;
    private readonly JinjaTemplate _template;
    private readonly TemplateAnalysis _analysis;
    private readonly ChatMessagePreparer _preparer;
    private readonly MessageReach _reach = new();

    public NamedTemplate(string file, string source, ChatContentFormat format, TemplateLimits? limits)
    {
        _file = file;
        Source = source;
        _template = TemplateRenderer.Parse(file, source, limits);
        _analysis = new TemplateAnalysis(_template);
        ContentFormat = format != ChatContentFormat.Auto ? format
            : _analysis.IteratesContent ? ChatContentFormat.OpenAI : ChatContentFormat.String;
        _preparer = new ChatMessagePreparer(ContentFormat, _analysis);
    }

    public ChatContentFormat ContentFormat { get; }

    public string Source { get; }

    public RenderedPrompt Render(ChatTemplateInput input, Func<string, char, bool, string>? guardText, TimeProvider? time)
    {
        var guard = guardText is null ? null : TokenGuard.Create(
            guardText, _analysis.SearchedTexts, input.Messages, input.Tools, input.Documents, input.Variables, _template.Source);
        var text = RenderMessages(input, guard, time);
        return guard is null
            ? new RenderedPrompt(text, text, null)
            : new RenderedPrompt(text.Replace(guard.Mark.ToString(), "", StringComparison.Ordinal), text, guard.Mark);
    }

    // Most templates, and vLLM, want the arguments of tool calls as objects; some of DeepSeek's append them to text.
    private string RenderMessages(ChatTemplateInput input, TokenGuard? guard, TimeProvider? time)
    {
        try
        {
            return Render(input, ArgumentsForm.Values, guard, time);
        }
        catch (EngineException e) when (e.InnerException is TemplateException { Kind: not TemplateErrorKind.Limit } && HasToolCalls(input))
        {
            foreach (var form in (ArgumentsForm[])[ArgumentsForm.Text, ArgumentsForm.Objects])
            {
                try
                {
                    return Render(input, form, guard, time);
                }
                catch (EngineException other) when (other.InnerException is TemplateException)
                {
                }
            }

            // The form of the arguments was not the reason: report the failure of the usual form.
            throw;
        }
    }

    private static bool HasToolCalls(ChatTemplateInput input) => input.Messages.Any(message => (message as PyDict)?.Get("tool_calls") is not null);

    private string Render(ChatTemplateInput input, ArgumentsForm form, TokenGuard? guard, TimeProvider? time)
    {
        var messages = _preparer.Prepare(input.Messages, form);
        if (guard is not null)
            messages = messages.ConvertAll(message => guard.Apply(message, (message as PyDict)?.Get("role") is "assistant"));
        if (input is { ToolPrompt: { } toolPrompt, Tools: not null } && !_analysis.UsesTools)
            messages = toolPrompt.AddTo(messages, Guarded(input.Tools), input.SpecialTokens, guard?.Mark);
        var variables = input.SpecialTokens.Copy();
        foreach (var (name, value) in input.Variables.Items)
            variables[name] = Guarded(value);
        variables["tools"] = Guarded(input.Tools);
        variables["documents"] = Guarded(input.Documents);
        variables["add_generation_prompt"] = input.AddGenerationPrompt;
        messages = _reach.Arrange(messages, input.Tools is not null, !input.HasSystemText, RenderList);
        var continuation = input.ContinueFinalMessage ? FinalMessageContinuation.Mark((PyDict)messages[^1]!, _template.Source) : null;
        var text = RenderList(messages);
        return continuation is null ? text : continuation.Cut(text);

        object? Guarded(object? value) => guard is null ? value : guard.Apply(value, isAssistant: false);

        string RenderList(List<object?> list)
        {
            variables["messages"] = list;
            return TemplateRenderer.Render(_template, _file, variables, time, guard?.Mark);
        }
    }
}
