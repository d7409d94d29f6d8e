using LocalLlm.Sampling;

namespace LocalLlm.Tests.Sampling;

/// <summary>Contexts, states and rows that most sampling tests start from.</summary>
internal static class SamplingKit
{
    public static SamplingContext Context(int vocabularySize = 100) => new()
    {
        VocabularySize = vocabularySize,
        MaxModelLen = 1000,
        PromptLength = 100,
        EosTokenIds = [2],
        Tokenize = (text, _) => [.. text.Select(character => character % vocabularySize)],
    };

    public static ValidatedSampling Validated(SamplingParams request, int vocabularySize = 100) =>
        SamplingValidator.Validate(request, Context(vocabularySize) with { MaxLogprobs = -1 });

    public static SamplingState State(SamplingParams request, int vocabularySize, int index = 0, int[]? prompt = null, int[]? output = null) =>
        new(Validated(request, vocabularySize), index, drawnSeed: 99, prompt ?? [], output ?? []);

    public static int Fuzz(int count) =>
        count * (int.TryParse(Environment.GetEnvironmentVariable("LOCALLLM_FUZZ"), out var times) ? Math.Max(times, 1) : 1);

    /// <summary>A row of a random shape: flat or peaked, few distinct values or many, with or without forbidden tokens.</summary>
    public static float[] Row(Random random, int length)
    {
        var spread = Math.Pow(10, random.NextDouble() * 4 - 2);
        var centre = random.NextDouble() * 40 - 20;
        var steps = random.Next(3) switch { 0 => 2, 1 => 16, _ => 0 };
        var forbidden = random.Next(3) == 0 ? random.NextDouble() : 0;
        var row = new float[length];
        for (var i = 0; i < length; i++)
        {
            var value = (random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5) * spread;
            if (steps > 0)
                value = Math.Round(value / spread * steps) * spread / steps;
            row[i] = random.NextDouble() < forbidden ? float.NegativeInfinity : (float)(centre + value);
        }

        row[random.Next(length)] = (float)centre;
        return row;
    }

    public static EngineException Refused(Action action)
    {
        var exception = Xunit.Assert.Throws<EngineException>(action);
        Xunit.Assert.Equal(EngineErrorKind.InvalidRequest, exception.Kind);
        return exception;
    }
}
