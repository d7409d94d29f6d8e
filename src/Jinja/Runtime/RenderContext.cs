using System.Runtime.CompilerServices;
using System.Text;
using LocalLlm.Jinja.Builtins;
using LocalLlm.Jinja.Nodes;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Runtime;

/// <summary>The state of one render: variables, output and the remaining budgets.</summary>
internal sealed class RenderContext
{
    // UTF-16 units of scanning or copying that cost one step.
    private const int UnitsPerStep = 64;

    private readonly TemplateLimits _limits;
    private readonly long _maxSteps;
    private readonly long _maxAllocation;
    private readonly long _maxLength;
    private readonly PyDict _variables;
    private long _steps;
    private long _allocated;
    private int _callDepth;

    public RenderContext(PyDict variables, TemplateLimits limits, TimeProvider time)
    {
        _variables = variables;
        _limits = limits;
        Time = time;
        var size = InputSize.Measure(variables);
        _maxSteps = Math.Min(limits.MaxSteps, limits.BaseSteps + (limits.StepsPerInputValue * size.Values));
        _maxAllocation = Math.Min(limits.MaxAllocation, limits.BaseAllocation + (limits.AllocationPerInputLength * size.Length));
        _maxLength = Math.Min(int.MaxValue / 4, limits.BaseOutputLength + (limits.OutputPerInputLength * size.Length));
    }

    public TimeProvider Time { get; }

    /// <summary>The character that marks added tokens in the caller's text; escaping leaves it unchanged.</summary>
    public char? Guard { get; init; }

    /// <summary>The line being rendered, for error messages.</summary>
    public int Line { get; set; }

    public Activation Frame { get; set; } = null!;

    public StringBuilder Output { get; private set; } = new();

    /// <summary>Variables that the template set at its top level; blocks read them.</summary>
    public PyDict Exported { get; } = new();

    /// <summary>A variable of the context or a global; <see cref="Missing.Value"/> if there is none.</summary>
    public object? Resolve(string name) =>
        Exported.TryGet(name, out var value) || _variables.TryGet(name, out value) || Globals.TryGet(name, out value)
            ? value
            : Missing.Value;

    public void Step()
    {
        if (++_steps > _maxSteps)
            throw TemplateException.Limit($"the template needs more than the {_maxSteps} evaluation steps that this input allows");
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw TemplateException.Limit("the template or one of its values is too deeply nested");
    }

    /// <summary>Charges for scanning a number of UTF-16 units.</summary>
    public void Work(long units)
    {
        _steps += units / UnitsPerStep;
        Step();
    }

    /// <summary>Charges for walking a string by code points, which costs more if some take two units.</summary>
    public void Scan(string text) => Work(PyText.HasSurrogates(text) ? 8L * text.Length : text.Length);

    /// <summary>Charges for creating a string from each character.</summary>
    public void Explode(string text) => Work(128L * text.Length);

    /// <summary>Charges for hashing a key.</summary>
    public void Hash(object? key)
    {
        Step();
        if (PyText.TryGet(key, out var text))
        {
            Work(text.Length);
        }
        else if (key is PyTuple tuple)
        {
            foreach (var item in tuple.Items)
                Hash(item);
        }
    }

    /// <summary>Charges for arithmetic on an integer, or for writing it: both are quadratic in its length.</summary>
    public void Digits(object? value)
    {
        if (value is System.Numerics.BigInteger big && big.GetBitLength() / 32 is var words)
            Work(words * words);
    }

    /// <summary>Charges for a string before it is created.</summary>
    public void Allocate(long length)
    {
        RequireLength(length);
        Charge(length);
        Work(length);
    }

    public void AllocateItems(long count)
    {
        RequireLength(count);
        Charge(8 * count);
    }

    public void RequireLength(long length)
    {
        if (length > _maxLength)
            throw TemplateException.Limit($"the template makes a text or list longer than the {_maxLength} that this input allows");
    }

    /// <summary>Charges for a string that was just created from other strings within the limits.</summary>
    public string Text(string text)
    {
        Allocate(text.Length);
        return text;
    }

    private void Charge(long units)
    {
        _allocated += units;
        if (_allocated > _maxAllocation)
            throw TemplateException.Limit($"the template makes more than the {_maxAllocation} characters of text that this input allows");
    }

    public void Write(string text)
    {
        RequireLength((long)Output.Length + text.Length);
        Work(text.Length);
        Output.Append(text);
    }

    /// <summary>Runs statements with a separate output buffer.</summary>
    public Flow Capture(Stmt[] body, out string text) => Capture(() => Stmt.Run(this, body), out text);

    /// <summary>Runs code with a separate output buffer.</summary>
    public Flow Capture(Func<Flow> body, out string text)
    {
        var outer = Output;
        Output = new StringBuilder();
        try
        {
            var flow = body();
            text = Text(Output.ToString());
            return flow;
        }
        finally
        {
            Output = outer;
        }
    }

    /// <summary>Runs <paramref name="body"/> in a new frame, one call deeper.</summary>
    public T Call<T>(Activation frame, Func<T> body)
    {
        if (++_callDepth > _limits.MaxCallDepth)
            throw TemplateException.Limit($"maximum recursion depth exceeded: macros and loops nest deeper than {_limits.MaxCallDepth}");
        var outer = Frame;
        Frame = frame;
        try
        {
            return body();
        }
        finally
        {
            Frame = outer;
            _callDepth--;
        }
    }
}
