using LocalLlm.Templating;

namespace LocalLlm.Tests.Engine;

/// <summary>
/// Questions about numbered facts, like those that tiny-r1 was trained on: the model copies one fact after another until it finds the right
/// one.
/// </summary>
internal static class FactPrompts
{
    private static readonly string[] Names = ["Vega", "Nova", "Ember", "Delta", "Orion", "Cobalt"];
    private static readonly string[] Things = ["printer", "camera", "motor", "server"];
    private static readonly (string What, string Unit)[] Facts = [("speed", "km/h"), ("price", "dollars"), ("range", "km"), ("capacity", "liters")];

    /// <summary>One question about <paramref name="numFacts"/> facts.</summary>
    public static ChatMessage[] Chat(int seed, int numFacts)
    {
        var random = new Random(seed);
        var all = (from name in Names from thing in Things from fact in Facts select (name, thing, fact)).OrderBy(_ => random.Next()).Take(numFacts).ToArray();
        var facts = all.Select((one, i) => $"[{i + 1}] The {one.fact.What} of the {one.name} {one.thing} is {random.Next(2, 999)} {one.fact.Unit}.");
        var asked = all[random.Next(numFacts)];
        return [new("user", $"Context:\n{string.Join('\n', facts)}\n\nQuestion: What is the {asked.fact.What} of the {asked.name} {asked.thing}?")];
    }
}
