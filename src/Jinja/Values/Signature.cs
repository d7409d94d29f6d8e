namespace LocalLlm.Jinja.Values;

/// <summary>Binds arguments to the parameters of a built-in function as Python does.</summary>
internal sealed class Signature
{
    private readonly string _function;
    private readonly (string Name, object? Default)[] _parameters;

    /// <param name="function">The name used in messages.</param>
    /// <param name="parameters">Names with their defaults. <see cref="Missing.Value"/> marks a required parameter; a name in
    /// angle brackets cannot be used as a keyword.</param>
    public Signature(string function, params (string Name, object? Default)[] parameters)
    {
        _function = function;
        _parameters = parameters;
    }

    public static object Required => Missing.Value;

    public object?[] Bind(Arguments args) => Bind(args.Positional, args.Named);

    /// <summary>Binds the arguments of a filter or test, whose first argument is the value before the bar.</summary>
    public object?[] Bind(object? value, Arguments args) => Bind([value, .. args.Positional], args.Named);

    private object?[] Bind(ReadOnlySpan<object?> positional, PyDict? named)
    {
        if (positional.Length > _parameters.Length)
        {
            throw TemplateException.Type(
                $"{_function}() takes at most {_parameters.Length} arguments ({positional.Length} given)");
        }

        var bound = new object?[_parameters.Length];
        Array.Fill(bound, Missing.Value);
        positional.CopyTo(bound);
        foreach (var (key, value) in named?.Items ?? [])
        {
            var index = Array.FindIndex(_parameters, p => p.Name == (string)key!);
            if (index < 0)
                throw TemplateException.Type($"{_function}() got an unexpected keyword argument '{key}'");
            if (bound[index] != Missing.Value)
                throw TemplateException.Type($"{_function}() got multiple values for argument '{key}'");
            bound[index] = value;
        }

        for (var i = 0; i < bound.Length; i++)
        {
            if (bound[i] == Missing.Value)
                bound[i] = _parameters[i].Default;
            if (bound[i] == Missing.Value)
                throw TemplateException.Type($"{_function}() missing a required argument: '{_parameters[i].Name.Trim('<', '>')}'");
        }

        return bound;
    }
}
