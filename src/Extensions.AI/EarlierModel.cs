namespace LocalLlm.Extensions.AI;

/// <summary>A model that the container loads before its generating models, which take all memory that is left.</summary>
/// <param name="Host">The model's host.</param>
internal sealed record EarlierModel(ILoadedModel Host);
