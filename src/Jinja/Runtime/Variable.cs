namespace LocalLlm.Jinja.Runtime;

/// <summary>The place of a variable as seen from the code that uses it: the number of functions outwards, and the slot there.</summary>
internal readonly record struct Variable(int Hops, int Slot);
