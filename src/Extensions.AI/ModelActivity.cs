namespace LocalLlm.Extensions.AI;

/// <summary>What an engine does at one moment.</summary>
/// <param name="Text">In words, after its name.</param>
/// <param name="Data">In figures.</param>
internal sealed record ModelActivity(string Text, IReadOnlyDictionary<string, object> Data);
