using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using LocalLlm.Sampling.Grammar;
using LocalLlm.Tokenization;

namespace LocalLlm.Bench;

/// <summary>What a grammar costs a decode step: the mask of each token of JSON texts, over a real vocabulary.</summary>
internal static class GrammarCost
{
    private const int Texts = 50;

    /// <summary>Prints milliseconds to build the trie, and microseconds of a mask: the first time through, and again.</summary>
    /// <param name="folder">A folder with tokenizer.json.</param>
    public static void Run(string folder)
    {
        var tokenizer = Tokenizer.Load(folder);
        var watch = Stopwatch.StartNew();
        var trie = new TokenTrie(tokenizer.VocabularySize, id => tokenizer.IsAdded(id) ? [] : tokenizer.IdToBytes(id).ToArray());
        var build = watch.Elapsed.TotalMilliseconds;
        var nodes = new GrammarNodes(GrammarLimits.Default);
        var grammar = new CompiledGrammar(new(nodes, nodes.Finish(new JsonGrammar(nodes).Object()), GrammarLimits.Default), trie, GrammarLimits.Default);
        var texts = Enumerable.Range(0, Texts).Select(seed => tokenizer.Encode(Text(new Random(seed)), addSpecialTokens: false)).ToArray();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{tokenizer.VocabularySize} tokens, trie in {build:F0} ms; {texts.Sum(text => text.Length)} tokens of JSON"));
        foreach (var round in new[] { "first time", "again" })
        {
            var times = new List<double>();
            foreach (var text in texts)
            {
                var (state, credit) = (grammar.Start, long.MaxValue);
                foreach (var id in text)
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
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{round}: mean {times.Average():F1} µs, p50 {times[times.Count / 2]:F1}, p99 {times[times.Count * 99 / 100]:F1}, most {times[^1]:F0}"));
        }
    }

    private static string Text(Random random) => JsonSerializer.Serialize(Enumerable.Range(0, 12).ToDictionary(
        i => $"field_{i}",
        _ => random.Next(4) switch { 0 => (object)random.Next(), 1 => "some text of a few words, and more", 2 => new[] { 1.5, random.NextDouble() }, _ => new { name = "x", ok = true, none = (string?)null } }));
}
