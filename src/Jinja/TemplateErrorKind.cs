namespace LocalLlm.Jinja;

/// <summary>Why a template failed; the kinds follow the exceptions of Python and Jinja2.</summary>
public enum TemplateErrorKind
{
    /// <summary>The template cannot be parsed or names an unknown filter, test or tag.</summary>
    Syntax,

    /// <summary>The template called <c>raise_exception</c>.</summary>
    Raised,

    /// <summary>An operation on an undefined value.</summary>
    Undefined,

    /// <summary>An access that the sandbox forbids.</summary>
    Security,

    /// <summary>An operation on a value of the wrong type.</summary>
    Type,

    /// <summary>A value of the right type that the operation cannot use.</summary>
    Value,

    /// <summary>A missing key or an index out of range.</summary>
    Lookup,

    /// <summary>A number too large for its type, or a division by zero.</summary>
    Arithmetic,

    /// <summary>Any other failure while rendering.</summary>
    Runtime,

    /// <summary>A budget of <see cref="TemplateLimits"/> is used up.</summary>
    Limit,
}
