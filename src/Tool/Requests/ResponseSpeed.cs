using System.Globalization;

namespace LocalLlm.Tool.Requests;

/// <summary>How fast one response came.</summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="Tokens">Tokens generated.</param>
/// <param name="ToFirst">From the request to its first token.</param>
/// <param name="Total">From the request to its end.</param>
internal readonly record struct ResponseSpeed(int PromptTokens, int Tokens, TimeSpan ToFirst, TimeSpan Total)
{
    /// <summary>Tokens per second once the first was there; of the whole for a single token.</summary>
    public double TokensPerSecond => Tokens > 1 && Total > ToFirst
        ? (Tokens - 1) / (Total - ToFirst).TotalSeconds
        : Tokens / Math.Max(Total.TotalSeconds, 1e-9);

    /// <summary>One line for people.</summary>
    public string Describe() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Tokens} tokens in {Total.TotalSeconds:F2} s: {TokensPerSecond:F1} tokens/s"
        + $", first token after {ToFirst.TotalSeconds:F2} s, prompt of {PromptTokens} tokens");
}
