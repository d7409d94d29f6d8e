using LocalLlm.Interop;
using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Models.Rotary;

/// <summary>
/// Rotary position embeddings (Su et al., 2021): the table that all attention layers of a model share, and the choice of a row for each
/// token.
/// </summary>
/// <remarks>
/// A dynamic rope (dynamic NTK) stretches with the length of the sequence. As in transformers with a KV cache, a prompt longer than the
/// trained context uses the frequencies of its own length, and each later token uses those of the sequence's length up to it. Keys keep the
/// rotation that they were stored with. So a token's rotation depends only on its position and its prompt's length, whatever the chunks and
/// however often it is recomputed.
/// </remarks>
internal sealed unsafe class RotaryEmbedding : IDisposable
{
    private const int FirstPositions = 4096;

    private readonly RopeConfig _rope;
    private readonly int _headDim;
    private readonly int _maxPositionEmbeddings;
    private readonly int _maxModelLen;
    private readonly int _scratchRows;
    private int _positions;
    private int _usedScratchRows;

    /// <summary>Prepares the first positions; further rows are computed when a sequence reaches them.</summary>
    /// <param name="rope">The scaling, validated.</param>
    /// <param name="headDim">Rotated dimensions of a head.</param>
    /// <param name="maxPositionEmbeddings">The model's context length from config.json.</param>
    /// <param name="maxModelLen">Positions that sequences may reach.</param>
    /// <param name="maxStepTokens">Tokens of the largest step.</param>
    /// <exception cref="EngineException">Kind ModelFolder: the scaling rotates only a part of a head.</exception>
    public RotaryEmbedding(RopeConfig rope, int headDim, int maxPositionEmbeddings, int maxModelLen, int maxStepTokens)
    {
        _rope = rope;
        _headDim = headDim;
        _maxPositionEmbeddings = maxPositionEmbeddings;
        _maxModelLen = maxModelLen;
        _scratchRows = DependsOnLength ? maxStepTokens : 0;
        var rotated = Frequencies(maxPositionEmbeddings).InverseFrequencies.Length * 2;
        if (rotated != headDim)
            throw EngineException.ModelFolder("config.json", $"partial_rotary_factor rotates {rotated} of {headDim} dimensions of a head; this model class rotates all of them");
        using (NewDisposeScope())
            Table = new(Rows(0), Rows(0));
        Prepare(Math.Min(maxModelLen, FirstPositions));
    }

    /// <summary>Cosines and sines. Scratch rows come before the positions and are refilled in every step.</summary>
    public RotaryTable Table { get; }

    private bool DependsOnLength => _rope.RopeType == RopeType.Dynamic && _maxModelLen > _maxPositionEmbeddings;

    /// <summary>The keys of a longer prompt fit only prompts of exactly the same length; null: prompts of all lengths share keys.</summary>
    public int? PromptLengthThreshold => DependsOnLength ? _maxPositionEmbeddings : null;

    /// <summary>Prepares every position that a sequence may reach, for a device that copies the table.</summary>
    public void PrepareAll()
    {
        if (_positions < _maxModelLen)
            Prepare(_maxModelLen);
    }

    /// <summary>Forgets the rows that the last step filled.</summary>
    public void BeginStep() => _usedScratchRows = 0;

    /// <summary>Appends the table rows of some adjacent tokens of one sequence.</summary>
    public void AddRows(NativeBuffer<int> rows, int firstPosition, int count, int promptLength)
    {
        if (firstPosition + count > _maxModelLen)
            throw new ArgumentOutOfRangeException(nameof(count), count, $"Positions from {firstPosition} on end behind the model's length, {_maxModelLen}.");
        if (firstPosition + count > _positions)
            Prepare(Math.Min(_maxModelLen, Math.Max(firstPosition + count, 2 * _positions)));
        var (frequencies, scaling) = promptLength > PromptLengthThreshold && firstPosition < promptLength ? Frequencies(promptLength)
            : ([], 1f);
        for (var position = firstPosition; position < firstPosition + count; position++)
        {
            if (frequencies.Length == 0 || position >= promptLength)
            {
                rows.Add(_scratchRows + position);
                continue;
            }

            var row = _usedScratchRows++;
            Fill(row, position, frequencies, scaling);
            Table.Touch();
            rows.Add(row);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Table.Dispose();

    // Grows the table; existing rows are copied, so they keep their bits.
    private void Prepare(int positions)
    {
        using (NewDisposeScope())
        {
            var (cos, sin) = (Rows(positions), Rows(positions));
            var kept = Table.Cos.size(0);
            cos.narrow(0, 0, kept).copy_(Table.Cos);
            sin.narrow(0, 0, kept).copy_(Table.Sin);
            Table.Replace(cos, sin);
        }

        var (frequencies, scaling) = Frequencies(_maxPositionEmbeddings);
        for (var position = _positions; position < positions; position++)
        {
            if (DependsOnLength && position >= _maxPositionEmbeddings)
                (frequencies, scaling) = Frequencies(position + 1);
            Fill(_scratchRows + position, position, frequencies, scaling);
        }

        _positions = positions;
        Table.Touch();
    }

    private Tensor Rows(int positions) => empty([_scratchRows + positions, _headDim / 2], ScalarType.Float32).DetachFromDisposeScope();

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
