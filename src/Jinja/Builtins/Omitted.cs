using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>
/// Names that Jinja2 and Python have but no known chat template uses. They stay known: a render that reaches one fails with an
/// error that says the feature is missing, not that the name is misspelt.
/// </summary>
internal static class Omitted
{
    public static readonly string[] Filters =
    [
        "batch", "center", "filesizeformat", "forceescape", "groupby", "pprint", "random", "slice", "striptags", "truncate", "urlencode",
        "urlize", "wordcount", "wordwrap", "xmlattr",
    ];

    public static readonly string[] Tests = ["escaped", "filter", "test"];

    public static readonly string[] Functions = ["cycler", "joiner", "lipsum"];

    private static readonly HashSet<string> StringMethods =
    [
        "casefold", "center", "encode", "expandtabs", "format_map", "isidentifier", "isprintable", "istitle", "ljust", "maketrans", "rjust",
        "swapcase", "translate", "zfill",
    ];

    /// <summary>Whether Python's <c>str</c> has a method of that name that a template cannot call here.</summary>
    public static bool IsStringMethod(string name) => StringMethods.Contains(name);

    /// <summary>Whether in Python a value other than a string has an attribute of that name that a template cannot read here.</summary>
    public static bool IsAttribute(object? value, string name) => value switch
    {
        Runtime.Macro => name is "name" or "arguments" or "catch_kwargs" or "catch_varargs" or "caller" or "explicit_caller",
        PyRange => name is "start" or "stop" or "step",
        double => name is "real" or "imag" or "conjugate" or "is_integer",
        _ when PyNumber.IsInteger(value) =>
            name is "real" or "imag" or "conjugate" or "is_integer" or "numerator" or "denominator" or "bit_length",
        _ => false,
    };

    public static TemplateException Refuse(string kind, string name) => TemplateException.Runtime(
        $"this interpreter does not have the {kind} '{name}', which no known chat template uses; write the template without it");
}
