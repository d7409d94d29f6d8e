using System.Globalization;

namespace LocalLlm.Tool.Requests;

/// <summary>The speed of one response.</summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="Tokens">Tokens generated.</param>
/// <param name="ToFirst">Time from the request to its first token.</param>
/// <param name="Total">Time from the request to its end.</param>
internal readonly record struct ResponseSpeed(int PromptTokens, int Tokens, TimeSpan ToFirst, TimeSpan Total)
{
    /// <summary>Tokens per second after the first token; for a single token, over the whole time.</summary>
    public double TokensPerSecond => Tokens > 1 && Total > ToFirst
        ? (Tokens - 1) / (Total - ToFirst).TotalSeconds
        : Tokens / Math.Max(Total.TotalSeconds, 1e-9);

    /// <summary>The speed as one readable line.</summary>
    public string Describe() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Tokens} tokens in {Total.TotalSeconds:F2} s: {TokensPerSecond:F1} tokens/s"
        + $", first token after {ToFirst.TotalSeconds:F2} s, prompt of {PromptTokens} tokens");
}
