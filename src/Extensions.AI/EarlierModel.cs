namespace LocalLlm.Extensions.AI;

/// <summary>A model of a container that is loaded before those that generate: these take what memory is left.</summary>
/// <param name="Host">Its host.</param>
internal sealed record EarlierModel(ILoadedModel Host);
