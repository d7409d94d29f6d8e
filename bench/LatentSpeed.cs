using System.Diagnostics;
using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>One layer's latent attention over a prompt's new tokens on the CPU: absorbed compared with expanded.</summary>
internal static class LatentSpeed
{
    private static readonly int[] s_tokens = [32, 64, 128, 256, 512, 1024];

    /// <summary>Prints median and best times over rounds; every round measures all forms, one after the other.</summary>
    /// <param name="heads">Number of heads of DeepSeek's shape: latent vectors of width 512, heads of 128 + 64 and 128.</param>
    /// <param name="before">Tokens before the new ones.</param>
    /// <param name="threads">CPU threads.</param>
    /// <param name="rounds">Number of rounds.</param>
    public static void Run(int heads, int before, int threads, int rounds)
    {
        TorchLibrary.EnsureLoaded();
        set_num_threads(threads);
        using var noGradients = inference_mode();
        using var ops = new CpuOps();
        var latent = (CpuLatentOps)ops.Features.Latent!;
        var shape = new LatentAttentionShape(heads, 512, 128, 64, 128, 0.1f, true);
        using var projection = randn([heads * 256, 512], bfloat16);
        using var weight = latent.Pack(projection, shape);
        var blocks = (before + s_tokens[^1] + 15) / 16;
        using var cache = KvCacheTensors.Allocate(ops, KvLayerSpec.Rows(shape.RowWidth), blocks, ScalarType.BFloat16);
        cache.Tensors[0].normal_();
        Console.WriteLine($"{heads} heads, {before} tokens before, {threads} threads, {rounds} rounds; medians and bests of one layer");
        Console.WriteLine("new tokens      absorbed, ms            expanded, ms          ratios   chosen");
        var times = s_tokens.ToDictionary(tokens => tokens, _ => (Absorbed: new List<double>(), Expanded: new List<double>()));
        for (var round = 0; round < rounds; round++)
        {
            foreach (var tokens in s_tokens)
            {
                using var metadata = new AttentionMetadata();
                metadata.Sequences.Add(new(0, tokens, before + tokens, 0));
                metadata.BlockTables.AddRange([.. Enumerable.Range(0, blocks)]);
                metadata.SlotMapping.AddRange([.. Enumerable.Range(before, tokens)]);
                using var queries = randn([tokens, heads * shape.QueryDim], bfloat16);
                times[tokens].Absorbed.Add(Time(_ => false));
                times[tokens].Expanded.Add(Time(_ => true));

                double Time(Func<SequenceSpan, bool> expands)
                {
                    var start = Stopwatch.GetTimestamp();
                    latent.Attention(queries, weight, cache, metadata, shape, expands).Dispose();
                    return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                }
            }
        }

        foreach (var (tokens, (absorbed, expanded)) in times)
        {
            var chosen = ExpandedAttention.Pays(new(0, tokens, before + tokens, 0), shape) ? "expanded" : "absorbed";
            Console.WriteLine(
                $"{tokens,10}   {Median(absorbed),9:F2}, {absorbed.Min(),9:F2}   {Median(expanded),9:F2}, {expanded.Min(),9:F2}   {Median(absorbed) / Median(expanded),5:F2}, {absorbed.Min() / expanded.Min():F2}   {chosen}");
        }
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
