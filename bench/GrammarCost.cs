using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using LocalLlm.Grammars;
using LocalLlm.Tokenizers;

namespace LocalLlm.Bench;

/// <summary>What grammars cost a decode step: computing the mask for each token of JSON texts over a real vocabulary.</summary>
internal static class GrammarCost
{
    private const int Texts = 50;
    private const int Compilations = 20;
    private const string CountedSchema = """
        {"type":"object","properties":{"title":{"type":"string","minLength":1,"maxLength":60},"text":{"type":"string","maxLength":2000},"code":{"type":"string","pattern":"^[A-Z]{2}-[0-9]{4}$"},
        "tags":{"type":"array","items":{"type":"string","maxLength":20},"maxItems":5}},"required":["title","text"],"additionalProperties":false}
        """;

    private static readonly string[] Vocabulary = ["some", "words", "of", "a", "text", "that", "is", "long", "enough", "to", "be", "counted", "Straße", "and", "more,"];

    /// <summary>Prints the milliseconds to build the trie, and the microseconds per mask in a first and a second pass.</summary>
    /// <param name="folder">A folder with tokenizer.json.</param>
    public static void Run(string folder)
    {
        var tokenizer = Tokenizer.Load(folder);
        var watch = Stopwatch.StartNew();
        var trie = new TokenTrie(tokenizer.VocabularySize, id => tokenizer.IsAdded(id) ? [] : tokenizer.IdToBytes(id).ToArray());
        var build = watch.Elapsed.TotalMilliseconds;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{tokenizer.VocabularySize} tokens, trie in {build:F0} ms"));
        Measure("a JSON object", nodes => new JsonGrammar(nodes).Object(), Text);
        using var schema = JsonDocument.Parse(CountedSchema);
        Measure("a schema with lengths and a pattern", nodes => JsonSchemaGrammar.Parse(nodes, schema.RootElement), CountedText);

        CompiledGrammar Compiled(Func<GrammarNodes, Fragment> make)
        {
            var nodes = new GrammarNodes(GrammarLimits.Default);
            return new(new(nodes, nodes.Finish(make(nodes)), GrammarLimits.Default), trie, GrammarLimits.Default);
        }

        void Measure(string name, Func<GrammarNodes, Fragment> make, Func<Random, string> text)
        {
            watch.Restart();
            for (var i = 0; i < Compilations; i++)
                _ = Compiled(make);
            var compile = watch.Elapsed.TotalMilliseconds / Compilations;
            var grammar = Compiled(make);
            var texts = Enumerable.Range(0, Texts).Select(seed => tokenizer.Encode(text(new Random(seed)), addSpecialTokens: false)).ToArray();
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}: {texts.Sum(ids => ids.Length)} tokens, compiled in {compile:F1} ms"));
            foreach (var round in new[] { "first time", "again" })
            {
                var times = new List<double>();
                foreach (var ids in texts)
                {
                    var (state, credit) = (grammar.Start, long.MaxValue);
                    foreach (var id in ids)
                    {
                        watch.Restart();
                        _ = grammar.Mask(ref state, ref credit);
                        state = grammar.Next(state, id);
                        times.Add(watch.Elapsed.TotalMicroseconds);
                        if (state == GrammarState.Dead)
                            throw new InvalidOperationException("the text left the grammar");
                    }
                }

                times.Sort();
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {round}: mean {times.Average():F1} µs, p50 {times[times.Count / 2]:F1}, p99 {times[times.Count * 99 / 100]:F1}, most {times[^1]:F0}"));
            }
        }
    }

    private static string Text(Random random) => JsonSerializer.Serialize(Enumerable.Range(0, 12).ToDictionary(
        i => $"field_{i}",
        _ => random.Next(4) switch { 0 => (object)random.Next(), 1 => "some text of a few words, and more", 2 => new[] { 1.5, random.NextDouble() }, _ => new { name = "x", ok = true, none = (string?)null } }));

    private static string CountedText(Random random)
    {
        string Words(int count) => string.Join(' ', Enumerable.Range(0, count).Select(_ => Vocabulary[random.Next(Vocabulary.Length)]));
        return JsonSerializer.Serialize(new { title = Words(4), text = Words(150), code = $"AB-{random.Next(1000, 9999)}", tags = Enumerable.Range(0, 3).Select(_ => Words(1)) });
    }
}
