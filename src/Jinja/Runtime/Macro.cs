using LocalLlm.Jinja.Nodes;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Runtime;

/// <summary>A macro with the variables around its definition; <paramref name="name"/> is null for the body of a call block.</summary>
internal sealed class Macro(string? name, MacroBody body, Activation closure) : ICallable
{
    public string TypeName => "Macro";

    public string? Name { get; } = name;

    private bool HasCallerParameter => body.Parameters.Any(p => p.Name == "caller");

    public object? Call(RenderContext c, Arguments args)
    {
        var frame = new Activation(body.Function, closure);
        var named = args.Named?.Copy() ?? new PyDict();
        for (var i = 0; i < body.Parameters.Length; i++)
        {
            var parameter = body.Parameters[i];
            object? value = Missing.Value;
            if (i < args.Positional.Length)
                value = args.Positional[i];
            else if (named.TryGet(parameter.Name, out var given))
                value = given;
            if (i >= args.Positional.Length)
                named.Remove(parameter.Name);
            frame.Set(parameter.Variable, value);
        }

        if (body.Caller is { } caller && !HasCallerParameter)
        {
            frame.Set(caller, named.Get("caller") ?? Undefined.Hint("No caller defined"));
            named.Remove("caller");
        }

        BindRest(args, named, frame);
        return c.Call(frame, () => Run(c));
    }

    private void BindRest(Arguments args, PyDict named, Activation frame)
    {
        if (body.Keywords is { } keywords)
            frame.Set(keywords, named);
        else if (named.Count > 0)
            throw TemplateException.Type($"macro '{Name}' takes no keyword argument '{named.Items.First().Key}'");
        var count = body.Parameters.Length;
        if (body.Varargs is { } varargs)
            frame.Set(varargs, new PyTuple(args.Positional.Length > count ? args.Positional[count..] : []));
        else if (args.Positional.Length > count)
            throw TemplateException.Type($"macro '{Name}' takes not more than {count} argument(s)");
    }

    private string Run(RenderContext c)
    {
        body.Scope.Enter(c);
        for (var i = 0; i < body.Parameters.Length; i++)
        {
            var parameter = body.Parameters[i];
            if (c.Frame.Get(parameter.Variable) != Missing.Value)
                continue;
            c.Frame.Set(parameter.Variable, body.Default(i) is { } value
                ? value.Evaluate(c)
                : Undefined.Hint($"parameter '{parameter.Name}' was not provided"));
        }

        c.Capture(body.Statements, out var text);
        return text;
    }
}
