namespace LocalLlm.Extensions.AI;

/// <summary>What an engine is doing at one moment.</summary>
/// <param name="Text">A phrase that follows the model's name.</param>
/// <param name="Data">The same in figures.</param>
internal sealed record ModelActivity(string Text, IReadOnlyDictionary<string, object> Data);
