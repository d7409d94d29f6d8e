using System.Globalization;

namespace LocalLlm.Bench;

/// <summary>A question that the trained tiny models know how to answer.</summary>
/// <param name="Kind">What it is about.</param>
/// <param name="Question">The question as a user asks it.</param>
/// <param name="Answer">The exact text that must follow the thought.</param>
internal sealed record AnswerTask(string Kind, string Question, string Answer);

/// <summary>Questions like those that the tiny models were trained on; the same seed gives the same questions.</summary>
internal static class AnswerTasks
{
    private static readonly string[] s_words =
        ["bridge", "ladder", "candle", "pepper", "thunder", "cloud", "mirror", "paper", "window", "music", "stone"];

    private static readonly string[] s_names =
    [
        "Zephyr", "Orion", "Nova", "Ember", "Vega", "Atlas", "Summit", "Delta", "Sigma", "Aurora", "Cobalt", "Harbor", "Ranger", "Pioneer",
    ];

    private static readonly string[] s_things =
    [
        "camera", "server", "printer", "router", "pump", "motor", "turbine", "battery", "valve", "drone",
        "compressor", "generator", "sensor",
    ];

    private static readonly string[] s_people = ["Uma Chen", "Tina Miller", "Carol Lee"];
    private static readonly string[] s_cities = ["Delhi", "Vienna", "Milan", "Madrid", "Lisbon"];
    private static readonly string[] s_jobs = ["lawyer", "chef", "engineer", "pilot", "nurse", "plumber"];
    private static readonly (string Name, string Unit)[] s_properties =
    [
        ("capacity", "liters"), ("range", "km"), ("power", "watts"), ("price", "dollars"), ("temperature", "degrees"),
        ("speed", "km/h"), ("length", "meters"), ("weight", "kg"), ("pressure", "bar"),
    ];

    /// <summary>Creates <paramref name="count"/> tasks of each kind.</summary>
    public static IReadOnlyList<AnswerTask> Create(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).SelectMany(_ => (AnswerTask[])
            [Sum(random), Reversal(random), Description(random), Facts("facts", 2, 5, random), Facts("many facts", 8, 16, random)])];
    }

    private static AnswerTask Sum(Random random)
    {
        var (a, b) = (random.Next(1, 1000), random.Next(1, 1000));
        return new(
            "sums",
            string.Create(CultureInfo.InvariantCulture, $"What is {a} + {b}?"),
            string.Create(CultureInfo.InvariantCulture, $"{a} + {b} = {a + b}"));
    }

    private static AnswerTask Reversal(Random random)
    {
        var words = random.GetItems(s_words, random.Next(3, 7));
        return new("reversed lists", $"Reverse this list: {string.Join(", ", words)}", string.Join(", ", words.Reverse()));
    }

    private static AnswerTask Description(Random random)
    {
        var (person, age, city, job) = (Pick(s_people), random.Next(18, 90), Pick(s_cities), Pick(s_jobs));
        var text = $"{person} is a {age.ToString(CultureInfo.InvariantCulture)}-year-old {job} from {city}.";
        return new(
            "JSON",
            $"Extract name, age, city and job as JSON: {text}",
            string.Create(
                CultureInfo.InvariantCulture,
                $$"""{"name": "{{person}}", "age": {{age}}, "city": "{{city}}", "job": "{{job}}"}"""));

        string Pick(string[] values) => values[random.Next(values.Length)];
    }

    private static AnswerTask Facts(string kind, int min, int max, Random random)
    {
        var facts = new Dictionary<(string Property, string Subject), string>();
        var wanted = random.Next(min, max + 1);
        while (facts.Count < wanted)
        {
            var (property, unit) = s_properties[random.Next(s_properties.Length)];
            facts[(property, $"the {s_names[random.Next(s_names.Length)]} {s_things[random.Next(s_things.Length)]}")] =
                string.Create(CultureInfo.InvariantCulture, $"{random.Next(1, 1000)} {unit}");
        }

        var lines = facts.Select((fact, i) => string.Create(
            CultureInfo.InvariantCulture, $"[{i + 1}] The {fact.Key.Property} of {fact.Key.Subject} is {fact.Value}."));
        var ((asked, subject), value) = facts.ElementAt(random.Next(facts.Count));
        return new(
            kind,
            $"Use the context to answer.\nContext:\n{string.Join('\n', lines)}\n\nQuestion: What is the {asked} of {subject}?",
            $"The {asked} of {subject} is {value}.");
    }
}
