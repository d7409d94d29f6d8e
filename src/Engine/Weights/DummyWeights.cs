using System.Runtime.InteropServices;
using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>
/// Random weights in place of a checkpoint's (vLLM's <c>--load-format dummy</c>), to benchmark models without their files. They are created
/// on the device. An element depends only on its tensor's name and its position, so that the slices of all ranks fit together: each row is
/// a window into one fixed table of random numbers that starts at a hash of name and row.
/// </summary>
internal static class DummyWeights
{
    private const int TableSize = 1 << 22;
    private const int ElementsAtOnce = 1 << 24;

    // As large as in trained models; products stay far from the limits of every type.
    private const float Largest = 0.02f;

    /// <summary>Fills all registered weights.</summary>
    /// <param name="registry">What the model needs.</param>
    /// <param name="device">The device that creates the weights.</param>
    /// <param name="activationType">The type for <see cref="WeightType.Activation"/>.</param>
    /// <param name="packing">Which copies of matrices to keep.</param>
    /// <param name="progress">Receives a report after every group.</param>
    /// <param name="cancellationToken">Ends loading.</param>
    public static void Load(
        WeightRegistry registry, Device device, ScalarType activationType, WeightPacking packing, IProgress<WeightProgress>? progress,
        CancellationToken cancellationToken)
    {
        using var all = NewDisposeScope();
        var table = Table().to(device);
        var alike = registry.Groups.GroupBy(group => group.Key).Select(groups => groups.ToList()).ToList();
        var total = alike.SelectMany(groups => groups[0].Specs).Sum(BytesOf);
        long done = 0;
        progress?.Report(new(0, total));
        foreach (var groups in alike)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var specs = groups[0].Specs;
            long[] shape = [specs.Sum(spec => spec.SliceShape[0]), .. specs[0].SliceShape[1..]];
            var tensor = empty(shape, groups[0].Type.LoadedAs(activationType), device);
            long first = 0;
            foreach (var spec in specs)
            {
                Fill(tensor.narrow(0, first, spec.SliceShape[0]), spec, table);
                first += spec.SliceShape[0];
                progress?.Report(new(done += BytesOf(spec), total));
            }

            foreach (var group in groups)
                group.Accept(tensor, packing);
        }

        long BytesOf(WeightSpec spec) => spec.SliceElements * spec.Type.ElementBytes(activationType);
    }

    // Uniform in [-1, 1).
    private static Tensor Table()
    {
        var numbers = new float[TableSize];
        for (var i = 0; i < numbers.Length; i++)
            numbers[i] = ((Mixed((ulong)i) >> 40) / (float)(1 << 23)) - 1;
        return tensor(numbers);
    }

    // A tensor of one dimension counts as one row; a slice of it is a slice of the row's elements.
    private static void Fill(Tensor target, WeightSpec spec, Tensor table)
    {
        var isRow = spec.Shape.Length == 1;
        var width = spec.Shape[^1];
        var (firstColumn, columns) = isRow || spec.Dimension > 0 ? (spec.Start, spec.Length) : (0, width);
        var rowsOfIndex = isRow || spec.Dimension > 0 ? 1 : spec.Shape[1..^1].Aggregate(1L, (product, size) => product * size);
        var firstRow = isRow || spec.Dimension > 0 ? 0 : spec.Start * rowsOfIndex;
        var rows = spec.SliceElements / columns;
        var flat = target.view(rows, columns); // some whole rows
        var within = TensorMath.Range(firstColumn, firstColumn + columns, table.device).unsqueeze(0);
        var atOnce = Math.Max(1, ElementsAtOnce / columns);
        for (long row = 0; row < rows; row += atOnce)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(atOnce, rows - row);
            var starts = new long[count];
            for (var i = 0; i < count; i++)
                starts[i] = StartOf(spec.Name, firstRow + row + i, width);
            var places = tensor(starts).to(table.device).unsqueeze(1).Plus(within); // [count, columns]
            var numbers = table.index_select(0, places.view(-1)).view(count, columns);
            flat.narrow(0, row, count).copy_(ValuesOf(numbers, spec));
        }
    }

    // Maps numbers in [-1, 1) to values that suit the tensor.
    private static Tensor ValuesOf(Tensor numbers, WeightSpec spec)
    {
        if (spec.Type.Takes(SafetensorsDtype.F32))
        {
            // Weights of norms are about 1; scales of quantised weights are above zero.
            var small = numbers.Times(Largest);
            if (spec.Name.Contains("scale", StringComparison.Ordinal))
                return small.Plus(2 * Largest);
            return spec.Shape.Length == 1 && spec.Name.EndsWith("weight", StringComparison.Ordinal) ? small.Plus(1f) : small;
        }

        // Bits of 8-bit floats with middle exponents, so that there is no infinity and no NaN: ±0.25 to 1 of E4M3, ±2⁻⁸ to 1 of E5M2.
        if (spec.Type.Takes(SafetensorsDtype.F8E4M3) || spec.Type.Takes(SafetensorsDtype.F8E5M2))
            return numbers.abs().Times(24f).Plus(40f).floor().Plus(numbers.IsLess(0f).to(float32).Times(128f));
        if (spec.Type.Takes(SafetensorsDtype.F8E8M0))
            return numbers.Times(2f).Plus(120f).floor();
        return spec.Type.Takes(SafetensorsDtype.U8) ? numbers.Plus(1f).Times(127f).floor() : numbers.Times(127f).floor();
    }

    private static long StartOf(string name, long row, long width)
    {
        if (width > TableSize)
            throw new NotSupportedException($"{name} has rows of {width} elements; load_format dummy makes rows of at most {TableSize}.");
        // FNV-1a over the name's UTF-16.
        var hash = 14695981039346656037UL;
        foreach (var part in MemoryMarshal.AsBytes(name.AsSpan()))
            hash = (hash ^ part) * 1099511628211UL;
        return (long)(Mixed(hash + (ulong)row) % (ulong)(TableSize - width + 1));
    }

    // SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
    private static ulong Mixed(ulong seed)
    {
        var z = seed + 0x9E3779B97F4A7C15UL;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        return z ^ (z >> 31);
    }
}
