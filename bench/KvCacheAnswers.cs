using System.Globalization;

namespace LocalLlm.Bench;

/// <summary>What 8-bit floats in the KV cache cost in right answers of a trained model. Decoding is greedy; an answer is right if the
/// text after the thought is exactly the expected one.</summary>
internal static class KvCacheAnswers
{
    private const string EndOfThought = "</think>";
    private const int MaxTokens = 512;
    private const int Seed = 1;

    /// <summary>Asks the same questions with both caches and prints how many answers are right, and how many texts are the same.</summary>
    /// <param name="model">A trained tiny model's folder.</param>
    /// <param name="device">Where it runs.</param>
    /// <param name="dtype">Type of the computation.</param>
    /// <param name="count">Questions of each kind.</param>
    public static async Task RunAsync(string model, string device, string dtype, int count)
    {
        var tasks = AnswerTasks.Create(count, Seed);
        var plain = await AskAsync(model, device, dtype, "auto", tasks);
        var quantised = await AskAsync(model, device, dtype, "fp8", tasks);
        Console.WriteLine($"{Path.GetFileName(Path.GetFullPath(model).TrimEnd('/'))} in {dtype} on {device}, {count} questions of each kind");
        Console.WriteLine("| | right with auto | right with fp8 | the same text |");
        foreach (var kind in tasks.Select(task => task.Kind).Distinct().Append(null))
        {
            var places = Enumerable.Range(0, tasks.Count).Where(i => kind is null || tasks[i].Kind == kind).ToArray();
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"| {kind ?? "all"} | {Share(i => IsRight(tasks[i], plain[i])):P1} | "
                + $"{Share(i => IsRight(tasks[i], quantised[i])):P1} | {Share(i => plain[i] == quantised[i]):P1} |"));

            double Share(Func<int, bool> holds) => (double)places.Count(holds) / places.Length;
        }
    }

    private static bool IsRight(AnswerTask task, string text) =>
        text.IndexOf(EndOfThought, StringComparison.Ordinal) is >= 0 and var end
        && text[(end + EndOfThought.Length)..].Trim() == task.Answer;

    private static async Task<string[]> AskAsync(string model, string device, string dtype, string cache, IReadOnlyList<AnswerTask> tasks)
    {
        await using var engine = await LlmEngine.LoadAsync(
            new() { ModelPath = model, Device = device, Dtype = dtype, KvCacheDtype = cache, MaxNumSeqs = 32 });
        var results = await engine.GenerateBatchAsync([.. tasks.Select(task =>
            GenerationRequest.FromChat([new("user", task.Question)], new() { Temperature = 0, MaxTokens = MaxTokens }))]);
        return [.. results.Select(result => result.Outputs[0].Text)];
    }
}
