namespace LocalLlm.Jinja.Runtime;

/// <summary>Where a variable lives, seen from the code that uses it: so many functions out, at that slot.</summary>
internal readonly record struct Variable(int Hops, int Slot);
