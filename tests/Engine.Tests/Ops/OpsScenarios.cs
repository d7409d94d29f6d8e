using LocalLlm.Ops;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Steps, tables and comparisons that the tests of every device share.</summary>
internal static class OpsScenarios
{
    public static RotaryTable Rotary(int headDim)
    {
        var angles = arange(0, 256).unsqueeze(1) * (1 / pow(tensor(10000f), arange(0, headDim, 2).to(float32) / headDim)).unsqueeze(0);
        return new(angles.cos(), angles.sin());
    }

    public static int[][] BlockTables(int[] lengths, Random random)
    {
        var blocks = Enumerable.Range(0, 64).ToArray();
        random.Shuffle(blocks);
        var next = 0;
        return [.. lengths.Select(length => blocks[next..(next += (length + 15) / 16)])];
    }

    /// <summary>Some tokens of some of the sequences, at least one in all.</summary>
    public static AttentionMetadata NextStep(int[] lengths, int[] done, int[][] tables, Random random)
    {
        var metadata = new AttentionMetadata();
        while (metadata.TokenCount == 0)
        {
            for (var s = 0; s < lengths.Length; s++)
            {
                var count = Math.Min(lengths[s] - done[s], random.Next(0, 60));
                if (count == 0)
                    continue;
                Append(metadata, done[s], count, tables[s]);
                done[s] += count;
            }
        }

        return metadata;
    }

    public static void Append(AttentionMetadata metadata, int first, int count, int[] table)
    {
        metadata.Sequences.Add(new(metadata.TokenCount, count, first + count, metadata.BlockTables.Count));
        metadata.BlockTables.AddRange(table);
        for (var position = first; position < first + count; position++)
        {
            metadata.RotaryRows.Add(position);
            metadata.SlotMapping.Add((table[position / 16] * 16) + (position % 16));
        }
    }

    public static void AssertClose(Tensor expected, Tensor actual, ScalarType type)
    {
        var tolerance = type == ScalarType.Float32 ? 2e-5 : 2e-2;
        var (wide, result) = (expected.to(float32).cpu(), actual.to(float32).cpu());
        var excess = ((wide - result).abs() - (tolerance * (wide.abs() + 1))).max().item<float>();
        Assert.True(excess <= 0, $"{type}: {excess} over the tolerance, of {wide.abs().max().item<float>()}");
    }
}
