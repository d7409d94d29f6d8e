using System.Globalization;
using System.Text.RegularExpressions;
using LocalLlm.Execution;
using LocalLlm.Ops.Cuda;
using LocalLlm.Planning;

namespace LocalLlm.Tests.Execution;

/// <summary>How a test spreads a model over ranks: <c>tp2</c>, <c>pp3</c>, <c>tp2pp2</c>, <c>tp2dp2</c> and the like.</summary>
internal sealed partial record RankLayout(int TensorParallel, int PipelineParallel, int DataParallel)
{
    public static RankLayout? Find(string name) =>
        Pattern().Match(name) is { Success: true } match && name.Length > 0 ? new(Size(match.Groups[1]), Size(match.Groups[2]), Size(match.Groups[3])) : null;

    public EngineOptions Of(EngineOptions options) => options with
    {
        TensorParallel = TensorParallel > 1 ? TensorParallel : options.TensorParallel,
        PipelineParallel = PipelineParallel > 1 ? PipelineParallel : options.PipelineParallel,
        DataParallel = DataParallel > 1 ? DataParallel : options.DataParallel,
    };

    private static int Size(Group digits) => digits.Success ? int.Parse(digits.ValueSpan, CultureInfo.InvariantCulture) : 1;

    [GeneratedRegex("^(?:tp([0-9]+))?(?:pp([0-9]+))?(?:dp([0-9]+))?$")]
    private static partial Regex Pattern();
}

/// <summary>
/// Opens every model over the ranks of a layout. If there are fewer GPUs than ranks, all ranks are on one GPU. If there are no experts to
/// share, or the model drafts by its own layer, there is one data-parallel group.
/// </summary>
internal sealed class RankLayoutFactory(RankLayout layout) : IStepExecutorFactory
{
    public IExecutorLoader Open(EngineOptions options)
    {
        if (options.Device is "cuda" or "auto" && CudaDevice.Probe() is { Count: > 0 } cards
            && (cards.Count < layout.TensorParallel * layout.PipelineParallel * layout.DataParallel || Environment.GetEnvironmentVariable(SuiteExecutor.NcclVariable) == "fake"))
        {
            options = options with { Device = "cuda:0" };
        }

        options = layout.Of(options);
        if (layout.DataParallel > 1 && (options.Speculation is { Method: SpeculationOptions.Mtp } || ModelShapeReader.Load(options.ModelPath).Experts is null))
            options = options with { DataParallel = 1 };
        return new DeviceExecutorFactory().Open(options);
    }
}
