namespace LocalLlm.Extensions.AI;

/// <summary>The object that a caller's <c>RawRepresentationFactory</c> gives.</summary>
internal static class RawOptions
{
    /// <summary>It, or one that says nothing where there is none.</summary>
    /// <param name="given">What the factory gave.</param>
    /// <param name="whose">The options that it belongs to.</param>
    /// <exception cref="ArgumentException">It is another provider's, and would be passed over.</exception>
    public static T Of<T>(object? given, string whose)
        where T : class, new() => given switch
        {
            null => new(),
            T own => own,
            _ => throw new ArgumentException($"{whose}.RawRepresentationFactory gave a {given.GetType().Name}; this client takes a {typeof(T).Name} or null. Give one of them, by the client that the factory is called with."),
        };
}
