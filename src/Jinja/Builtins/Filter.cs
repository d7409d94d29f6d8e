using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>A filter; takes the value before the bar and the arguments after it.</summary>
internal delegate object? Filter(RenderContext c, object? value, Arguments args);

/// <summary>A test; takes the value before <c>is</c> and the arguments after it.</summary>
internal delegate object? Test(RenderContext c, object? value, Arguments args);
