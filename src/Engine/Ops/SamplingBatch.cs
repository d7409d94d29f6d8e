using LocalLlm.Interop;

namespace LocalLlm.Ops;

/// <summary>How the tokens of a step are sampled: one entry per row that is sampled from whole logits. Reused from step to step.</summary>
internal sealed class SamplingBatch : IDisposable
{
    /// <summary>One per row.</summary>
    public NativeBuffer<TokenDraw> Draws { get; } = new();

    /// <summary>For each row here, its index among all sampled rows of the step. Used where other rows are chosen otherwise.</summary>
    public NativeBuffer<int> Rows { get; } = new();

    /// <summary>One per row if <see cref="HasEdits"/>; else ignored.</summary>
    public NativeBuffer<TokenEdits> Edits { get; } = new();

    /// <summary>The lists of <see cref="Edits"/>.</summary>
    public NativeBuffer<int> Data { get; } = new();

    /// <summary>Whether any row's logits are changed.</summary>
    public bool HasEdits { get; private set; }

    /// <summary>Whether any row is drawn from the likeliest tokens only (<see cref="TokenDraw.Cuts"/>).</summary>
    public bool HasCuts { get; private set; }

    /// <summary>Adds a row without edits.</summary>
    public void Add(TokenDraw draw)
    {
        Draws.Add(draw);
        Edits.Add(new() { AllowedCount = -1, RepetitionPenalty = 1 });
        HasCuts |= draw.Cuts;
    }

    /// <summary>Adds a row.</summary>
    public void Add(TokenDraw draw, TokenEdits edits)
    {
        Add(draw);
        Edits.Span[^1] = edits;
        HasEdits = true;
    }

    /// <summary>Forgets all rows.</summary>
    public void Clear()
    {
        Draws.Clear();
        Rows.Clear();
        Edits.Clear();
        Data.Clear();
        HasEdits = HasCuts = false;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Draws.Dispose();
        Rows.Dispose();
        Edits.Dispose();
        Data.Dispose();
    }
}
