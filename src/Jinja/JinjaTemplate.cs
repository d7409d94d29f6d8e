using System.Text.Json;
using LocalLlm.Jinja.Builtins;
using LocalLlm.Jinja.Nodes;
using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Syntax;

namespace LocalLlm.Jinja;

/// <summary>
/// A parsed chat template: Jinja2 3.1 as transformers configures it (immutable sandbox, trimmed blocks, loop controls, the
/// generation tag, its own <c>tojson</c>). Immutable: any number of threads may render it at once.
/// </summary>
public sealed class JinjaTemplate
{
    private readonly Function _function;
    private readonly Scope _scope;
    private readonly TemplateLimits _limits;

    private JinjaTemplate(string source, Stmt[] body, Function function, Scope scope, TemplateLimits limits)
    {
        Source = source;
        Body = body;
        _function = function;
        _scope = scope;
        _limits = limits;
    }

    /// <summary>The text that was parsed.</summary>
    public string Source { get; }

    /// <summary>The syntax tree.</summary>
    internal Stmt[] Body { get; }

    /// <summary>Whether every template has a function of this name, such as <c>range</c> or <c>strftime_now</c>.</summary>
    /// <param name="name">The name.</param>
    public static bool IsGlobal(string name) => Globals.TryGet(name, out _);

    /// <summary>Parses a template.</summary>
    /// <param name="source">The template's text.</param>
    /// <param name="limits">What parsing and each render may cost; null: the defaults.</param>
    /// <exception cref="TemplateException"><see cref="TemplateErrorKind.Syntax"/>: the text is not a template, or it names an
    /// unknown filter, test or tag.</exception>
    public static JinjaTemplate Parse(string source, TemplateLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        limits ??= TemplateLimits.Default;
        try
        {
            var body = Parser.Parse(source, limits);
            var (function, scope) = ScopeBinder.Bind(body);
            return new JinjaTemplate(source, body, function, scope, limits);
        }
        catch (InsufficientExecutionStackException)
        {
            throw TemplateException.Syntax("the template is too deeply nested", 0);
        }
    }

    /// <summary>
    /// Renders with the members of a JSON object as variables: <c>messages</c>, <c>add_generation_prompt</c>, <c>bos_token</c>
    /// and so on. As in transformers' <c>apply_chat_template</c>, missing <c>tools</c> and <c>documents</c> are None.
    /// </summary>
    /// <param name="variables">A JSON object.</param>
    /// <param name="time">The clock and time zone of <c>strftime_now</c>; null: the system's.</param>
    /// <exception cref="TemplateException">The variables are not an object or cannot be template values, the template failed, or
    /// it used up a budget.</exception>
    public string Render(JsonElement variables, TimeProvider? time = null)
    {
        if (variables.ValueKind != JsonValueKind.Object)
            throw TemplateException.Value($"the variables of a template must be a JSON object, found {variables.ValueKind}");
        var dict = new PyDict { ["tools"] = null, ["documents"] = null };
        foreach (var (name, value) in TemplateValues.Object(variables).Items)
            dict[name] = value;
        return Render(dict, time);
    }

    /// <summary>Renders with the given variables, which must not change during the call.</summary>
    /// <param name="variables">The variables.</param>
    /// <param name="time">The clock and time zone of <c>strftime_now</c>; null: the system's.</param>
    /// <param name="guard">A character in the variables that the template's escaping leaves unchanged; null: none.</param>
    /// <exception cref="TemplateException">The template failed or used up a budget.</exception>
    public string Render(PyDict variables, TimeProvider? time = null, char? guard = null)
    {
        ArgumentNullException.ThrowIfNull(variables);
        var context = new RenderContext(variables, _limits, time ?? TimeProvider.System) { Guard = guard };
        try
        {
            context.Call(new Activation(_function, null), () =>
            {
                _scope.Enter(context);
                return Stmt.Run(context, Body);
            });
            return context.Output.ToString();
        }
        catch (TemplateException e)
        {
            if (e.Line == 0)
                e.Line = context.Line;
            throw;
        }
    }
}
