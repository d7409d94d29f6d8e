using System.Globalization;
using LocalLlm.Models;
using LocalLlm.Ops.Cuda;
using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>Turns a request and a model's sizes into the plan that people and programs read.</summary>
internal sealed class PlanBuilder
{
    private readonly ModelPlanRequest _request;
    private readonly PlannedModel _model;
    private readonly EngineOptions _options;
    private readonly IReadOnlyList<GpuCard> _cards;
    private readonly int? _perNode;
    private readonly PlanSettings _settings;
    private readonly CapacityPlanner _capacity;
    private readonly List<string> _notes;
    private readonly List<ParallelFault> _faults = [];
    private readonly List<string> _further = [];

    /// <summary>Chooses type and devices.</summary>
    public PlanBuilder(ModelPlanRequest request, PlannedModel model)
    {
        (_request, _model, _options) = (request, model, request.Options);
        _notes = [.. model.Notes];
        (_cards, _perNode) = (request.Cards, request.DevicesPerNode);
        if (_cards.Count == 0)
        {
            var world = (long)_options.TensorParallel * _options.PipelineParallel / Math.Max(1, _options.Nodes);
            var (card, count) = LocalCards.Find(_options.Devices is [var first, ..] ? first : _options.Device, (int)Math.Clamp(world, 1, ParallelRules.MaxRanks));
            (_cards, _perNode) = ([card], _perNode ?? count);
        }

        _settings = PlanSettings.Of(_options, ChooseDtype());
        if (_options.MaxModelLen is { } length)
            _further.AddRange(["--max-model-len", length.ToString(CultureInfo.InvariantCulture)]);
        _capacity = new(_model.Parts, _cards, _options, _settings);
        Note();
    }

    private ModelShape Shape => _model.Parts.Shape;

    /// <summary>The plan; one that does not fit, or is not possible, has its faults and what would fit.</summary>
    public ModelPlan Build()
    {
        var request = ParallelRequest.Of(_options, _perNode);
        var chosen = _request.ChoosesPlan ? Choose(request) : null;
        if (chosen is not null)
            request = request with { TensorParallel = chosen.Plan.TensorParallel, PipelineParallel = chosen.Plan.PipelineParallel, Nodes = chosen.Plan.Nodes };
        _faults.AddRange(ParallelRules.FaultsOf(request, Shape.Split));
        if (_options.MaxModelLen > Shape.MaxModelLength)
            _faults.Add(new("max_model_len", $"is {_options.MaxModelLen}, but the model knows positions up to {Shape.MaxModelLength} (config.json)"));
        if (_faults.Count > 0)
            return Offered(Describe(request, PlanVerdict.Invalid), request);
        var estimate = chosen ?? _capacity.Best(ParallelPlan.Create(request, Shape.Split));
        if (!estimate.Fits)
            _faults.Add(TooSmall(estimate));
        var plan = Describe(request, estimate);
        return estimate.Fits ? plan : Offered(plan, request);
    }

    // As few of the devices as fit; where none do, all of them show why.
    private CapacityEstimate? Choose(ParallelRequest request)
    {
        var (perNode, nodes) = (_perNode ?? 1, Math.Clamp(request.Nodes, 1, ParallelRules.MaxRanks));
        var search = new PlanSearch(_capacity);
        return search.Smallest(perNode, nodes) ?? _capacity.Best(search.Largest(perNode, nodes));
    }

    private ModelDtype ChooseDtype()
    {
        var asked = ModelDtypes.Find(_options.Dtype);
        var lacks = _cards.FirstOrDefault(card => !card.HasBFloat16);
        if (asked is { } named)
        {
            if (named == ModelDtype.BFloat16 && lacks is not null)
                _faults.Add(new("dtype", $"is bfloat16, which a {lacks.Name} does not compute in; allowed for it: {lacks.Types}"));
            if (_options.Dtype != "auto")
                _further.AddRange(["--dtype", _options.Dtype]);
            return named;
        }

        var dtype = Shape.Dtype ?? _model.Headers?.Dtype ?? ModelDtype.BFloat16;
        if (dtype != ModelDtype.BFloat16 || lacks is null)
            return dtype;
        _notes.Add($"a {lacks.Name} does not compute in the checkpoint's bfloat16 (it computes in {lacks.Types}): planned in float16");
        _further.AddRange(["--dtype", "float16"]);
        return ModelDtype.Float16;
    }

    private void Note()
    {
        if (!Shape.IsRunnable)
            _notes.Add($"this build does not run {Shape.Architecture}{(Shape.Quantisation is null ? "" : " with quantised weights")}: these are its sizes only");
        if (Shape.Quantisation is { } blocks)
            _notes.Add($"the matrices of the layers are 8-bit floats in blocks of {blocks.Rows} x {blocks.Columns}");
        if (Shape.Quantisation is not null && _cards.FirstOrDefault(card => !card.HasFloat8) is { } card)
            _notes.Add($"a {card.Name} does not multiply 8-bit floats: the weights stay as they are stored, and are widened when they are used");
        const int min = CudaDevice.MinComputeCapability;
        if (_cards.FirstOrDefault(one => one.ComputeCapability < min) is { } old)
            _notes.Add($"this build computes on compute capability {min / 10}.{min % 10} or newer, and a {old.Name} has {old.ComputeCapability / 10}.{old.ComputeCapability % 10}: it is planned, not run");
    }

    private ParallelFault TooSmall(CapacityEstimate estimate)
    {
        var (stage, plan) = (estimate.Fullest, estimate.Plan);
        var where = estimate.Stages.Count == 1 ? "a rank" : $"a rank of stage {estimate.Stages.ToList().IndexOf(stage)} ({stage.Layers} layers)";
        var budget = $"{PlanTexts.Size(stage.BudgetBytes)} of {PlanTexts.Size(stage.Card.MemoryBytes)} may be used";
        var what = $"{plan.WorldSize} x {PlanTexts.CardNames(_cards)} {(plan.WorldSize == 1 ? "has" : "have")} too little memory for this model: {where} has {PlanTexts.Size(stage.WeightBytes)} of weights and {PlanTexts.Size(stage.ActivationBytes + stage.GraphBytes)} of activations, and {budget}";
        var why = stage.FreeBytes < 0
            ? $"{PlanTexts.Size(-stage.FreeBytes)} are missing before there is any KV cache"
            : string.Create(CultureInfo.InvariantCulture, $"the {PlanTexts.Size(stage.FreeBytes)} that are left hold {estimate.KvTokens:N0} tokens of KV cache, and {estimate.WantedTokens:N0} are wanted");
        var all = string.Create(CultureInfo.InvariantCulture, $"all weights are {PlanTexts.Size(_capacity.RankBytes(1))}, all devices have {PlanTexts.Size(AllMemory(plan))}");
        var isPipeline = plan is { TensorParallel: 1, PipelineParallel: > 1 };
        return new(isPipeline ? "pipeline_parallel_size" : "tensor_parallel_size", $"is {(isPipeline ? plan.PipelineParallel : plan.TensorParallel)}, but {what}; {why} ({all})");
    }

    private double AllMemory(ParallelPlan plan) =>
        Enumerable.Range(0, plan.PipelineParallel).Sum(stage => (double)_capacity.CardOf(stage).MemoryBytes * plan.TensorParallel);

    private ModelPlan Offered(ModelPlan plan, ParallelRequest request) => plan with
    {
        Faults = [.. _faults.Select(fault => fault.ToString())],
        Parameter = _faults[0].Option,
        Alternatives = PlanOffers.Of(request, _capacity, _perNode, _options, _further),
    };

    private ModelPlan Describe(ParallelRequest request, CapacityEstimate estimate)
    {
        var verdict = !estimate.Fits ? PlanVerdict.DoesNotFit : estimate.IsTight ? PlanVerdict.Tight : PlanVerdict.Fits;
        var length = _options.MaxModelLen ?? Math.Min(Shape.MaxModelLength, estimate.KvTokens);
        return Describe(request, verdict) with
        {
            Ranks = PlannedRanks.Of(estimate, Shape),
            KvCacheTokens = estimate.KvTokens,
            MaxModelLen = length,
            Prediction = estimate.Fits ? StepPrediction.Of(estimate, Shape) : null,
            CommandLine = estimate.Fits ? PlanOffers.CommandLine(estimate, _options, _further) : null,
        };
    }

    private ModelPlan Describe(ParallelRequest request, PlanVerdict verdict) => new()
    {
        Model = _request.Name,
        Architecture = Shape.Architecture,
        SizesFrom = _model.SizesFrom,
        Parameters = _model.Parts.Parameters,
        ActiveParameters = _model.Parts.ActiveParameters,
        WeightBytes = _capacity.RankBytes(1),
        KvBytesPerToken = Shape.Layers * Shape.KvElements(1) * _settings.ElementBytes,
        ModelLength = Shape.MaxModelLength,
        Dtype = _settings.Dtype switch { ModelDtype.Float32 => "float32", ModelDtype.Float16 => "float16", _ => "bfloat16" },
        Cards = _cards,
        DevicesPerNode = _perNode ?? (int)Math.Min(int.MaxValue, (long)request.TensorParallel * request.PipelineParallel / Math.Max(1, request.Nodes)),
        Nodes = request.Nodes,
        TensorParallel = request.TensorParallel,
        PipelineParallel = request.PipelineParallel,
        Verdict = verdict,
        Notes = _notes,
        Smallest = _cards[0].IsCpu ? null : PlanOffers.Smallest(_capacity, _perNode ?? 1, _options, _further),
    };
}
