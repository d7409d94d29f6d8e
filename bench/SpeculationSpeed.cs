using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Templating;

namespace LocalLlm.Bench;

/// <summary>
/// The same requests in turns through an engine without drafts and one with them: tokens per second between the first and the last token,
/// processor time per token (for machines that other programs use, too), and whether both engines generate the same ids.
/// </summary>
internal static class SpeculationSpeed
{
    private const int RequestsOfWorkload = 12;
    private const int FactsOfPrompt = 12;
    private const int MaxTokens = 160;
    private const int MaxFactLength = 80;

    public static async Task RunAsync(
        string model, string device, string dtype, string config, string? prompts, int threads, int streams, int rounds)
    {
        var options = new EngineOptions { ModelPath = model, Device = device, Dtype = dtype, NumThreads = threads };
        await using var plain = await LlmEngine.LoadAsync(options);
        await using var drafting = await LlmEngine.LoadAsync(options with { Speculation = SpeculationJson.Parse(config) });
        Console.WriteLine($"{config}, {dtype}, {threads} threads, {streams} at once, {rounds} rounds");
        Console.WriteLine(
            "| workload | plain, tokens/s | with drafts | ratio (range) | of processor time (range) | "
            + "drafted | accepted | tokens of a step with drafts | same ids |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|");
        foreach (var (name, requests) in Workloads(prompts))
            await MeasureAsync(name, requests, plain, drafting, streams, rounds);
    }

    private static IEnumerable<(string Name, GenerationRequest[] Requests)> Workloads(string? prompts)
    {
        var greedy = new SamplingParams { Temperature = 0, MaxTokens = MaxTokens };
        yield return ("questions over 12 facts (RAG), greedy", Chats(Facts, greedy));
        yield return ("the same, temperature 0.6", Chats(Facts, greedy with { Temperature = 0.6, TopP = 0.95, Seed = 1 }));
        if (prompts is not null)
        {
            foreach (var file in Directory.EnumerateFiles(prompts, "*", SearchOption.AllDirectories).Order())
            {
                string[] texts = Path.GetExtension(file) == ".jsonl"
                    ? [.. File.ReadLines(file).Select(TurnOf).OfType<string>()]
                    : [.. File.ReadLines(file).Where(line => line.Length > 0)];
                if (texts.Length < RequestsOfWorkload)
                    continue;
                // Cuts each line to the length of a fact.
                texts = [.. texts.Select(text => text.Length > MaxFactLength ? text[..MaxFactLength] : text)];
                yield return (
                    $"RAG over {Path.GetFileName(file)}: 12 of its lines as facts, greedy",
                    Chats(i => Context(Enumerable.Range(0, FactsOfPrompt)
                        .Select(line => texts[((i * FactsOfPrompt) + line) % texts.Length])), greedy));
                yield return ($"{Path.GetFileName(file)} line by line, greedy", Chats(i => texts[i], greedy));
            }
        }

        // The prompt is a shuffle of all allowed tokens, and each next token is random. Lookup finds every token in the prompt, but the
        // tokens that follow it there predict nothing.
        int[] few = [.. Enumerable.Range(400, 400)];
        var even = new SamplingParams { Temperature = 2, MaxTokens = MaxTokens, IgnoreEos = true, AllowedTokenIds = few };
        yield return (
            "always found, never right: 400 tokens by chance",
            [.. Enumerable.Range(0, RequestsOfWorkload).Select(i => GenerationRequest.FromTokenIds(
                [.. few.OrderBy(id => (id * (7919L + (2 * i))) % 1009)], even with { Seed = i }))]);
    }

    private static GenerationRequest[] Chats(Func<int, string> text, SamplingParams sampling) =>
        [.. Enumerable.Range(0, RequestsOfWorkload).Select(i => GenerationRequest.FromChat([new ChatMessage("user", text(i))], sampling))];

    private static string Facts(int seed)
    {
        string[] names = ["Vega", "Nova", "Ember", "Delta", "Orion", "Cobalt"], things = ["printer", "camera", "motor", "server"];
        (string What, string Unit)[] facts = [("speed", "km/h"), ("price", "dollars"), ("range", "km"), ("capacity", "liters")];
        var random = new Random(seed);
        var all = (from name in names from thing in things from fact in facts select (name, thing, fact))
            .OrderBy(_ => random.Next()).Take(FactsOfPrompt).ToArray();
        var (askedName, askedThing, asked) = all[^1];
        var lines = all.Select(one => $"The {one.fact.What} of the {one.name} {one.thing} is {random.Next(2, 999)} {one.fact.Unit}.");
        return $"{Context(lines)}\n\nQuestion: What is the {asked.What} of the {askedName} {askedThing}?";
    }

    private static string Context(IEnumerable<string> facts) =>
        "Context:\n" + string.Join('\n', facts.Select((fact, i) => $"[{i + 1}] {fact}"));

    private static string? TurnOf(string line)
    {
        using var document = JsonDocument.Parse(line);
        return document.RootElement.TryGetProperty("turns", out var turns) ? turns[0].GetString() : null;
    }

    private static async Task MeasureAsync(
        string name, GenerationRequest[] requests, LlmEngine plain, LlmEngine drafting, int streams, int rounds)
    {
        var (ratios, without, with, processor) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
        var same = true;
        var before = drafting.Statistics.Speculation!;
        for (var round = 0; round <= rounds; round++)
        {
            // The engines take turns at going first.
            var first = await RunAsync(round % 2 == 0 ? plain : drafting, requests, streams);
            var second = await RunAsync(round % 2 == 0 ? drafting : plain, requests, streams);
            var (a, b) = round % 2 == 0 ? (first, second) : (second, first);
            same &= a.Ids.Zip(b.Ids).All(pair => pair.First.SequenceEqual(pair.Second));
            // The first round warms up.
            if (round == 0)
                continue;
            without.Add(a.Speed);
            with.Add(b.Speed);
            ratios.Add(b.Speed / a.Speed);
            processor.Add(a.Processor / b.Processor);
        }

        ratios.Sort();
        var after = drafting.Statistics.Speculation!;
        var (drafts, tokens) = (after.Drafts - before.Drafts, after.DraftTokens - before.DraftTokens);
        var accepted = after.AcceptedTokens - before.AcceptedTokens;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {name} | {Median(without):F0} | {Median(with):F0} | {Median(ratios):F2} ({ratios[0]:F2} to {ratios[^1]:F2}) | "
            + $"{Median(processor):F2} ({processor.Min():F2} to {processor.Max():F2}) | "
            + $"{tokens} | {(tokens == 0 ? 0 : 100.0 * accepted / tokens):F0} % | "
            + $"{(drafts == 0 ? 1 : 1 + ((double)accepted / drafts)):F2} | {(same ? "yes" : "no")} |"));
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    // Tokens after the first of each request, divided by the time since that token; with several requests at once, by the time of the run.
    private static async Task<(double Speed, double Processor, int[][] Ids)> RunAsync(
        LlmEngine engine, GenerationRequest[] requests, int streams)
    {
        var ids = new int[requests.Length][];
        var (tokens, seconds) = (0, 0.0);
        var before = Environment.CpuUsage.TotalTime;
        for (var first = 0; first < requests.Length; first += streams)
        {
            var watch = Stopwatch.StartNew();
            var group = Enumerable.Range(first, Math.Min(streams, requests.Length - first));
            var results = await Task.WhenAll(group.Select(i => OneAsync(i, watch)));
            seconds += watch.Elapsed.TotalSeconds - (streams == 1 ? results[0].Start : 0);
            tokens += results.Sum(result => result.Tokens);
        }

        return (tokens / seconds, (Environment.CpuUsage.TotalTime - before).TotalSeconds / ids.Sum(one => one.Length), ids);

        async Task<(int Tokens, double Start)> OneAsync(int index, Stopwatch watch)
        {
            var (all, start, first) = (new List<int>(), 0.0, 0);
            await foreach (var output in engine.GenerateAsync(requests[index]))
            {
                if (all.Count == 0)
                    (start, first) = (watch.Elapsed.TotalSeconds, output.TokenIds.Count);
                all.AddRange(output.TokenIds);
            }

            ids[index] = [.. all];
            return (all.Count - (streams == 1 ? first : 0), start);
        }
    }
}
