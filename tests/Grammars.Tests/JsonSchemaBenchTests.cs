using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using System.Text.Json;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Grammars.Tests;

/// <summary>The schemas of JSONSchemaBench with their valid and invalid instances.</summary>
public class JsonSchemaBenchTests
{
    [Fact]
    public void Of_the_schemas_that_are_accepted_every_valid_instance_passes_and_no_invalid_one()
    {
        var path = TestPaths.Shared("data", "api", "jsonschemabench", "maskbench.jsonl.gz");
        var (accepted, refused, wrong) = (0, new Dictionary<string, int>(), new List<string>());
        var times = new List<double>();
        var (slowest, slowestTime) = ("", 0.0);
        using var reader = new StreamReader(new GZipStream(File.OpenRead(path), CompressionMode.Decompress));
        // Tests run every tenth schema; the report runs all of them.
        var stride = Environment.GetEnvironmentVariable("LOCALLLM_SCHEMA_REPORT") is null ? 10 : 1;
        for (var i = 0; reader.ReadLine() is { } line; i++)
        {
            if (i % stride != 0)
                continue;
            using var entry = JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = 512 });
            var watch = Stopwatch.StartNew();
            ByteAutomaton automaton;
            try
            {
                var nodes = new GrammarNodes(GrammarLimits.Default);
                automaton = new(nodes, nodes.Finish(JsonSchemaGrammar.Parse(nodes, entry.RootElement.GetProperty("schema"))), GrammarLimits.Default);
                times.Add(watch.Elapsed.TotalMilliseconds);
                if (times[^1] > slowestTime)
                    (slowest, slowestTime) = (entry.RootElement.GetProperty("file").GetString()!, times[^1]);
            }
            catch (GrammarException refusal)
            {
                var reason = string.Join(' ', refusal.Message.Split(' ')[1..Math.Min(refusal.Message.Split(' ').Length, 9)]);
                var word = refusal.Message.Split(' ')[0].Split('/')[^1];
                if (Environment.GetEnvironmentVariable("LOCALLLM_SCHEMA_REFUSED") is { } list)
                    File.AppendAllText(list, $"{entry.RootElement.GetProperty("file").GetString()}\t{refusal.Message}\n");
                refused[$"{word} {reason}"] = refused.GetValueOrDefault($"{word} {reason}") + 1;
                continue;
            }

            accepted++;
            foreach (var test in entry.RootElement.GetProperty("tests").EnumerateArray())
            {
                var valid = test.GetProperty("valid").GetBoolean();
                var text = JsonSerializer.Serialize(test.GetProperty("data"), JsonText.Compact);
                if (Accepts(automaton, text, out var failure) != valid)
                    wrong.Add($"{failure} {entry.RootElement.GetProperty("file").GetString()}: {(valid ? "refused valid" : "accepted invalid")} {text[..Math.Min(text.Length, 160)]}");
            }
        }

        times.Sort();
        var total = accepted + refused.Values.Sum();
        TestContext.Current.SendDiagnosticMessage($"accepted {accepted} of {total}, wrong {wrong.Count}, compile p99 {times[times.Count * 99 / 100]:F1} ms");
        if (Environment.GetEnvironmentVariable("LOCALLLM_SCHEMA_REPORT") is { } report)
            File.WriteAllLines(report, [$"accepted {accepted} of {total}, wrong {wrong.Count}, compile p50 {times[times.Count / 2]:F2} p99 {times[times.Count * 99 / 100]:F1} max {times[^1]:F0} ms ({slowest})", .. refused.OrderByDescending(pair => pair.Value).Select(pair => $"{pair.Value} {pair.Key}"), .. wrong]);
        Assert.Empty(wrong);
        Assert.True(accepted >= 0.98 * total, $"accepted {accepted} of {total}");
    }

    private static bool Accepts(ByteAutomaton automaton, string text, out string? failure)
    {
        failure = null;
        var state = automaton.Start;
        try
        {
            foreach (var value in Encoding.UTF8.GetBytes(text))
            {
                state = automaton.Renewed(automaton.Next(state, value));
                if (state == GrammarState.Dead)
                    return false;
            }

            return state.IsAccepting;
        }
        catch (GrammarException refusal)
        {
            failure = refusal.Message;
            return false;
        }
    }

    private static class JsonText
    {
        public static readonly JsonSerializerOptions Compact = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = 512 };
    }
}
