using LocalLlm.Templating.Nodes;
using LocalLlm.Templating.Runtime;
using LocalLlm.Templating.Syntax;
using LocalLlm.Templating.Values;

namespace LocalLlm.Templating;

/// <summary>
/// A parsed chat template: Jinja2 3.1 as transformers sets it up (immutable sandbox, trimmed blocks, loop controls, the
/// generation tag, its own <c>tojson</c>). Immutable: any number of threads may render it at once.
/// </summary>
internal sealed class JinjaTemplate
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
    public Stmt[] Body { get; }

    /// <exception cref="TemplateException">The text is no template.</exception>
    public static JinjaTemplate Parse(string source, TemplateLimits? limits = null)
    {
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

    /// <summary>Renders with the given variables, which must not change meanwhile.</summary>
    /// <param name="variables">The variables.</param>
    /// <param name="time">The clock; the system's where null.</param>
    /// <param name="guard">A character in the variables that no escaping of the template may touch.</param>
    /// <exception cref="TemplateException">The template failed or used up a budget.</exception>
    public string Render(PyDict variables, TimeProvider? time = null, char? guard = null)
    {
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
