using System.Runtime.InteropServices;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Chooses the experts of each token. Results of library functions depend on an element's place in a vector; here a token's choice depends
/// only on its own logits. Of equal scores the first wins.
/// </summary>
internal unsafe struct RouterKernel : IRangeKernel
{
    private const float MinSum = 1e-20f;

    /// <summary>[tokens, experts]; overwritten by the scores.</summary>
    public float* Scores;

    /// <summary>[experts] or null.</summary>
    public float* Bias;

    /// <summary>[tokens, experts per token].</summary>
    public long* Ids;

    /// <summary>[tokens, experts per token].</summary>
    public float* Weights;

    public int Experts;
    public int PerToken;
    public int Groups;
    public int GroupsPerToken;
    public ExpertScoring Scoring;
    public ExpertChoice Choice;
    public bool Normalizes;
    public float WeightScale;

    /// <summary>Items are tokens.</summary>
    public readonly void Run(long begin, long end)
    {
        var scratch = (float*)NativeMemory.Alloc((nuint)(Experts + Groups) * sizeof(float));
        try
        {
            for (var token = begin; token < end; token++)
                RunToken(Scores + (token * Experts), Ids + (token * PerToken), Weights + (token * PerToken), scratch, scratch + Experts);
        }
        finally
        {
            NativeMemory.Free(scratch);
        }
    }

    private readonly void RunToken(float* scores, long* ids, float* weights, float* candidates, float* groups)
    {
        Score(scores);
        for (var expert = 0; expert < Experts; expert++)
            candidates[expert] = Bias == null ? scores[expert] : scores[expert] + Bias[expert];
        if (GroupsPerToken < Groups)
            DropGroups(candidates, groups);

        var sum = 0f;
        for (var i = 0; i < PerToken; i++)
        {
            ids[i] = TakeBest(candidates, Experts);
            weights[i] = scores[ids[i]];
            sum += weights[i];
        }

        var factor = Normalizes ? WeightScale / (sum + MinSum) : WeightScale;
        for (var i = 0; i < PerToken; i++)
            weights[i] *= factor;
    }

    private readonly void Score(float* logits)
    {
        if (Scoring == ExpertScoring.Sigmoid)
        {
            for (var expert = 0; expert < Experts; expert++)
                logits[expert] = 1 / (1 + MathF.Exp(-logits[expert]));
            return;
        }

        var maximum = float.NegativeInfinity;
        for (var expert = 0; expert < Experts; expert++)
            maximum = MathF.Max(maximum, logits[expert]);
        var sum = 0f;
        for (var expert = 0; expert < Experts; expert++)
        {
            logits[expert] = MathF.Exp(logits[expert] - maximum);
            sum += logits[expert];
        }

        for (var expert = 0; expert < Experts; expert++)
            logits[expert] /= sum;
    }

    private readonly void DropGroups(float* candidates, float* groups)
    {
        var size = Experts / Groups;
        for (var group = 0; group < Groups; group++)
            groups[group] = GroupScore(candidates + (group * size), size);
        var chosen = stackalloc bool[Groups];
        for (var i = 0; i < GroupsPerToken; i++)
            chosen[TakeBest(groups, Groups)] = true;
        for (var expert = 0; expert < Experts; expert++)
        {
            if (!chosen[expert / size])
                candidates[expert] = float.NegativeInfinity;
        }
    }

    private readonly float GroupScore(float* candidates, int size)
    {
        var (first, second) = (float.NegativeInfinity, float.NegativeInfinity);
        for (var i = 0; i < size; i++)
        {
            if (candidates[i] > first)
                (first, second) = (candidates[i], first);
            else if (candidates[i] > second)
                second = candidates[i];
        }

        return Choice == ExpertChoice.NoAuxiliaryLoss ? first + second : first;
    }

    // Takes the first of the highest scores and excludes it from later calls. Chooses an expert even if all comparisons fail (NaN).
    private static int TakeBest(float* candidates, int count)
    {
        var best = 0;
        for (var i = 1; i < count; i++)
        {
            if (candidates[i] > candidates[best])
                best = i;
        }

        candidates[best] = float.NegativeInfinity;
        return best;
    }
}
