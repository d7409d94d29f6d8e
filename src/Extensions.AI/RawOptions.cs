namespace LocalLlm.Extensions.AI;

/// <summary>Reads what a caller's <c>RawRepresentationFactory</c> returned.</summary>
internal static class RawOptions
{
    /// <summary>Returns the factory's object, or options with nothing set if it returned null.</summary>
    /// <param name="given">What the factory returned.</param>
    /// <param name="whose">Name of the options type that has the factory.</param>
    /// <exception cref="ArgumentException">The object belongs to another provider, so this client would ignore it.</exception>
    public static T Of<T>(object? given, string whose)
        where T : class, new() => given switch
        {
            null => new(),
            T own => own,
            _ => throw new ArgumentException($"{whose}.RawRepresentationFactory returned a {given.GetType().Name}; this client expects a {typeof(T).Name} or null. Let the factory return the type of the client that calls it."),
        };
}
