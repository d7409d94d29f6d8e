using LocalLlm.Interop;
using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>Builds the table of rotary position embeddings (Su et al., 2021) that all attention layers of a model share.</summary>
internal static unsafe class RotaryEmbedding
{
    /// <summary>Cosines and sines of every position below <paramref name="maxModelLen"/>, scaled as the model's rope asks.</summary>
    /// <param name="rope">The scaling, validated.</param>
    /// <param name="headDim">Rotated dimensions of a head.</param>
    /// <param name="maxPositionEmbeddings">The model's context length from config.json.</param>
    /// <param name="maxModelLen">
    /// Positions to prepare. A dynamic rope is fixed for this length: unscaled up to <paramref name="maxPositionEmbeddings"/>,
    /// stretched as a whole beyond, because cached keys are already rotated.
    /// </param>
    /// <param name="device">Where the table lives.</param>
    public static RotaryTable Create(RopeConfig rope, int headDim, int maxPositionEmbeddings, int maxModelLen, Device device)
    {
        var (inverseFrequencies, scaling) = RotaryFrequencies.Compute(rope, headDim, maxPositionEmbeddings, maxModelLen);
        var half = inverseFrequencies.Length;
        if (half * 2 != headDim)
            throw EngineException.ModelFolder("config.json", $"partial_rotary_factor rotates {half * 2} of {headDim} dimensions of a head; this model class rotates all of them");
        using var scope = NewDisposeScope();
        var cos = empty([maxModelLen, half], ScalarType.Float32);
        var sin = empty([maxModelLen, half], ScalarType.Float32);
        var cosines = (float*)cos.DataPointer();
        var sines = (float*)sin.DataPointer();
        for (var position = 0; position < maxModelLen; position++)
        {
            for (var i = 0; i < half; i++)
            {
                // The reference multiplies in float32; the rounding of the angle is part of the result.
                var angle = position * inverseFrequencies[i];
                cosines[(position * (long)half) + i] = MathF.Cos(angle) * scaling;
                sines[(position * (long)half) + i] = MathF.Sin(angle) * scaling;
            }
        }

        return new(cos.to(device).DetachFromDisposeScope(), sin.to(device).DetachFromDisposeScope());
    }
}
