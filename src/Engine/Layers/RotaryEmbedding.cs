using LocalLlm.Interop;
using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// Rotary position embeddings (Su et al., 2021): the table that all attention layers of a model share, and which of its rows a token takes.
/// </summary>
/// <remarks>
/// A dynamic rope (dynamic NTK) stretches with the length of the sequence. As in transformers with a KV cache, a prompt longer than the
/// trained context is rotated with the frequencies of its own length, and each later token with those of the length that it makes;
/// keys keep the rotation that they were stored with. So a token's rotation follows from its position and its prompt's length alone,
/// whatever the chunks and however often it is recomputed.
/// </remarks>
internal sealed unsafe class RotaryEmbedding : IDisposable
{
    private readonly RopeConfig _rope;
    private readonly int _headDim;
    private readonly int _maxPositionEmbeddings;
    private readonly int _positions;
    private readonly int _scratchRows;
    private int _usedScratchRows;

    /// <summary>Prepares every position below <paramref name="maxModelLen"/>.</summary>
    /// <param name="rope">The scaling, validated.</param>
    /// <param name="headDim">Rotated dimensions of a head.</param>
    /// <param name="maxPositionEmbeddings">The model's context length from config.json.</param>
    /// <param name="maxModelLen">Positions to prepare.</param>
    /// <param name="maxStepTokens">Tokens of the largest step.</param>
    /// <exception cref="EngineException">Kind ModelFolder: only a part of a head is rotated.</exception>
    public RotaryEmbedding(RopeConfig rope, int headDim, int maxPositionEmbeddings, int maxModelLen, int maxStepTokens)
    {
        _rope = rope;
        _headDim = headDim;
        _maxPositionEmbeddings = maxPositionEmbeddings;
        _positions = maxModelLen;
        _scratchRows = DependsOnLength ? maxStepTokens : 0;
        var half = headDim / 2;
        using (NewDisposeScope())
            Table = new(Rows(half), Rows(half));

        var (frequencies, scaling) = Frequencies(maxPositionEmbeddings);
        if (frequencies.Length * 2 != headDim)
            throw EngineException.ModelFolder("config.json", $"partial_rotary_factor rotates {frequencies.Length * 2} of {headDim} dimensions of a head; this model class rotates all of them");
        for (var position = 0; position < maxModelLen; position++)
        {
            if (DependsOnLength && position >= maxPositionEmbeddings)
                (frequencies, scaling) = Frequencies(position + 1);
            Fill(position, position, frequencies, scaling);
        }

        Tensor Rows(int width) => empty([_positions + _scratchRows, width], ScalarType.Float32).DetachFromDisposeScope();
    }

    /// <summary>Cosines and sines; the rows after the positions are filled anew in every step.</summary>
    public RotaryTable Table { get; }

    private bool DependsOnLength => _rope.RopeType == RopeType.Dynamic && _positions > _maxPositionEmbeddings;

    /// <summary>Whether the keys of a prompt of this length fit only prompts of the very same length.</summary>
    public bool IsPromptSpecific(int promptLength) => DependsOnLength && promptLength > _maxPositionEmbeddings;

    /// <summary>Forgets the rows that the last step filled.</summary>
    public void BeginStep() => _usedScratchRows = 0;

    /// <summary>Appends the table rows of some adjacent tokens of one sequence.</summary>
    public void AddRows(NativeBuffer<int> rows, int firstPosition, int count, int promptLength)
    {
        var (frequencies, scaling) = IsPromptSpecific(promptLength) && firstPosition < promptLength ? Frequencies(promptLength) : ([], 1f);
        for (var position = firstPosition; position < firstPosition + count; position++)
        {
            if (frequencies.Length == 0 || position >= promptLength)
            {
                rows.Add(position);
                continue;
            }

            var row = _positions + _usedScratchRows++;
            Fill(row, position, frequencies, scaling);
            rows.Add(row);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Table.Dispose();

    private (float[] InverseFrequencies, float Scaling) Frequencies(int length) =>
        RotaryFrequencies.Compute(_rope, _headDim, _maxPositionEmbeddings, length);

    private void Fill(int row, int position, float[] inverseFrequencies, float scaling)
    {
        var cosines = (float*)Table.Cos.DataPointer() + ((long)row * inverseFrequencies.Length);
        var sines = (float*)Table.Sin.DataPointer() + ((long)row * inverseFrequencies.Length);
        for (var i = 0; i < inverseFrequencies.Length; i++)
        {
            // The reference multiplies in float32; the rounding of the angle is part of the result.
            var angle = position * inverseFrequencies[i];
            cosines[i] = MathF.Cos(angle) * scaling;
            sines[i] = MathF.Sin(angle) * scaling;
        }
    }
}
