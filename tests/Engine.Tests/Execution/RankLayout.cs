using System.Globalization;
using System.Text.RegularExpressions;
using LocalLlm.Execution;
using LocalLlm.Ops.Cuda;

namespace LocalLlm.Tests.Execution;

/// <summary>How a test spreads a model over ranks: <c>tp2</c>, <c>pp3</c>, <c>tp2pp2</c> and the like.</summary>
internal sealed partial record RankLayout(int TensorParallel, int PipelineParallel)
{
    public static RankLayout? Find(string name) =>
        Pattern().Match(name) is { Success: true } match && name.Length > 0 ? new(Size(match.Groups[1]), Size(match.Groups[2])) : null;

    public EngineOptions Of(EngineOptions options) => options with { TensorParallel = TensorParallel, PipelineParallel = PipelineParallel };

    private static int Size(Group digits) => digits.Success ? int.Parse(digits.ValueSpan, CultureInfo.InvariantCulture) : 1;

    [GeneratedRegex("^(?:tp([0-9]+))?(?:pp([0-9]+))?$")]
    private static partial Regex Pattern();
}

/// <summary>Opens every model over the ranks of a layout; on one card where there are fewer cards than ranks.</summary>
internal sealed class RankLayoutFactory(RankLayout layout) : IStepExecutorFactory
{
    public IExecutorLoader Open(EngineOptions options)
    {
        if (options.Device is "cuda" or "auto" && CudaDevice.Probe() is { Count: > 0 } cards
            && (cards.Count < layout.TensorParallel * layout.PipelineParallel || Environment.GetEnvironmentVariable(SuiteExecutor.NcclVariable) == "fake"))
        {
            options = options with { Device = "cuda:0" };
        }

        return new DeviceExecutorFactory().Open(layout.Of(options));
    }
}
