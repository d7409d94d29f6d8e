using System.Globalization;

namespace LocalLlm.Tests.KvCache;

/// <summary>How long randomised tests run: LOCALLLM_FUZZ multiplies their counts (default 1).</summary>
internal static class Fuzz
{
    public static int Times(int count) =>
        double.TryParse(
            Environment.GetEnvironmentVariable("LOCALLLM_FUZZ"), NumberStyles.Float, CultureInfo.InvariantCulture, out var factor)
            ? int.Max(1, (int)(count * factor))
            : count;
}
