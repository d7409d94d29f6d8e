using System.Globalization;
using LocalLlm.Models;
using LocalLlm.Ops.Cuda;
using LocalLlm.Parallel;
using LocalLlm.Weights;

namespace LocalLlm.Planning;

/// <summary>Turns a request and a model's sizes into the plan for users and programs.</summary>
internal sealed class PlanBuilder
{
    private const int MaxListed = 3;
    private readonly ModelPlanRequest _request;
    private readonly PlannedModel _model;
    private readonly EngineOptions _options;
    private readonly IReadOnlyList<GpuCard> _cards;
    private readonly int? _perNode;
    private readonly ModelParts _parts;
    private readonly PlanSettings _settings;
    private readonly CapacityPlanner _capacity;
    private readonly List<string> _notes;
    private readonly List<ParallelFault> _faults = [];
    private readonly bool _isHere; // the cards are this machine's
    private readonly PlanLine _line;
    private string _dtype; // for command lines

    /// <summary>Chooses the type and the devices.</summary>
    public PlanBuilder(ModelPlanRequest request, PlannedModel model)
    {
        (_request, _model, _options) = (request, model, request.Options);
        _notes = [.. model.Notes];
        (_cards, _perNode) = (request.Cards, request.DevicesPerNode);
        _isHere = _cards.Count == 0;
        _parts = _options.EnableExpertParallel
            ? new(_model.Parts.Shape with { SpreadsExperts = true, RedundantExperts = Math.Max(0, _options.ExpertBalancing?.NumRedundantExperts ?? 0) }) { ExtraElementsPerLayer = _model.Parts.ExtraElementsPerLayer } : _model.Parts;
        if (_isHere)
        {
            var (cards, count) = LocalCards.Find(request.ChoosesPlan ? _options with { TensorParallel = 1, PipelineParallel = 1, DataParallel = 1 } : _options);
            (_cards, _perNode) = (cards, _perNode ?? count);
        }

        if (_options.GpuMemoryBytes is { } bytes && _cards.Any(card => !card.IsCpu))
        {
            if (!_isHere)
                _cards = [.. _cards.Select(card => card.IsCpu ? card : card with { MemoryBytes = MemoryCap.Of(bytes, card.MemoryBytes, card.Name) })];
            _notes.Add($"gpu_memory has each GPU count as one of {PlanTexts.Size(bytes)}");
        }

        _dtype = _options.Dtype;
        _settings = PlanSettings.Of(_options, ChooseDtype(), _cards[0].IsCpu);
        _line = new(_options, _dtype, _isHere);
        _capacity = new(_parts, _cards, _options, _settings);
        Note();
    }

    private ModelShape Shape => _parts.Shape;

    /// <summary>Builds the plan. If it does not fit or is not possible, it has its faults and alternatives that fit.</summary>
    public ModelPlan Build()
    {
        var request = ParallelRequest.Of(_options, _perNode);
        var chosen = _request.ChoosesPlan ? Choose(request) : null;
        if (chosen is not null)
            request = request with { TensorParallel = chosen.Plan.TensorParallel, PipelineParallel = chosen.Plan.PipelineParallel, DataParallel = 1, Nodes = chosen.Plan.Nodes };
        else if (_request.ChoosesPlan)
            request = request with { TensorParallel = 1, PipelineParallel = _capacity.StageCards, DataParallel = 1 };
        // A chosen plan with one rank drops expert balancing, which needs several ranks.
        if (_request.ChoosesPlan && request is { TensorParallel: 1, Balancing: not null })
        {
            request = request with { Balancing = null };
            _notes.Add("a stage of this plan has one rank, which holds all experts: planned without enable_eplb");
        }

        _faults.AddRange(ParallelRules.FaultsOf(request, _parts.Split));
        if (_options.MaxModelLen > Shape.MaxModelLength)
            _faults.Add(new("max_model_len", $"is {_options.MaxModelLen}, but the model knows positions up to {Shape.MaxModelLength} (config.json)"));
        if (PredictionSupport.FaultOf(_options, Shape.Architecture, Shape.PredictionLayers) is { } fault)
            _faults.Add(new(PredictionSupport.Option, fault));
        if (QuantizationSupport.FaultOf(_options, Shape.Quantisation is not null) is { } method)
            _faults.Add(new(QuantizationSupport.Option, method));
        if (_faults.Count > 0)
            return Offered(Describe(request, PlanVerdict.Invalid), request);
        var estimate = chosen ?? _capacity.Best(ParallelPlan.Create(request, Shape.Split));
        if (!estimate.Fits)
            _faults.Add(PlanFaults.TooSmall(_settings.GivesCache ? _capacity.Estimate(estimate.Plan) : estimate, _capacity));
        var plan = Describe(request, estimate);
        return estimate.Fits ? plan : Offered(plan, request);
    }

    // Chooses as few of the devices as fit. If none do, the plan on all of them shows why. Null: too few devices for a stage of each kind.
    private CapacityEstimate? Choose(ParallelRequest request)
    {
        var nodes = Math.Clamp(request.Nodes, 1, ParallelRules.MaxRanks);
        // Further ranks of a CPU add no memory.
        var perNode = _cards[0].IsCpu ? 1 : _perNode ?? (_isHere ? _options.Devices?.Count ?? 1 : PlanOffers.UsualDevices);
        var search = new PlanSearch(_capacity);
        return search.Smallest(perNode, nodes, isUpTo: _perNode is null) ?? (search.Largest(perNode, nodes) is { } all ? _capacity.Best(all) : null);
    }

    private ModelDtype ChooseDtype()
    {
        var asked = ModelDtypes.Find(_options.Dtype);
        var lacks = _cards.FirstOrDefault(card => !card.HasBFloat16);
        if (asked is { } named)
        {
            if (named == ModelDtype.BFloat16 && lacks is not null)
                _faults.Add(new("dtype", $"is bfloat16, which {WithArticle(lacks.Name)} does not compute in; allowed for it: {lacks.Types}"));
            return named;
        }

        var dtype = Shape.Dtype ?? _model.Headers?.Dtype ?? ModelDtype.BFloat16;
        if (dtype != ModelDtype.BFloat16 || lacks is null)
            return dtype;
        _notes.Add($"{WithArticle(lacks.Name)} does not compute in the checkpoint's bfloat16 (it computes in {lacks.Types}): planned in float16");
        _dtype = "float16";
        return ModelDtype.Float16;
    }

    private void Note()
    {
        if (!Shape.IsRunnable)
            _notes.Add($"this build does not run {Shape.Architecture}: these are its sizes only");
        if (Shape.Quantisation is { } blocks)
            _notes.Add($"the matrices of the layers are 8-bit floats with a scale for {blocks.ScaleOf}");
        if (Shape.Quantisation is not null && _cards.FirstOrDefault(card => !card.HasFloat8) is { } card)
        {
            const int hopper = CudaDevice.Hopper;
            _notes.Add($"this build multiplies 8-bit floats by 8-bit floats on compute capability {hopper / 10}.{hopper % 10} alone (Hopper), "
                + $"and {WithArticle(card.Name)} has {card.ComputeCapability / 10}.{card.ComputeCapability % 10}: the weights stay as they are stored, and are widened when they multiply");
        }

        if (Shape.Quantisation?.Kept.Where(name => !IsNeverQuantised(name) && !_parts.HasModule(name)).ToList() is { Count: > 0 } unknown)
            _notes.Add($"config.json lists unquantised modules that this plan does not have: {Listed(unknown)}");
        if (_settings.IsBatchInvariant && _cards.Any(one => !one.IsCpu))
            _notes.Add("this build is batch-invariant on CPUs only: it is planned, not run");
        if (_cards.FirstOrDefault(one => one is { IsCpu: false, BytesPerSecond: null }) is { } other)
            _notes.Add($"{other.Name} is not a known card: no times are predicted");
        if (!_isHere && _options.CudaArch is not null)
            _faults.Add(new(CudaArchitecture.Option, "cannot be combined with named cards, whose architectures are known; leave it out"));
        const int min = CudaDevice.MinComputeCapability;
        if (_cards.FirstOrDefault(one => one.ComputeCapability < min) is { } old)
            _notes.Add($"this build computes on compute capability {min / 10}.{min % 10} or newer, and {WithArticle(old.Name)} has {old.ComputeCapability / 10}.{old.ComputeCapability % 10}: it is planned, not run");
    }

    private ModelPlan Offered(ModelPlan plan, ParallelRequest request) => plan with
    {
        Faults = [.. _faults.Select(fault => fault.ToString())],
        Parameter = _faults[0].Option,
        // Other devices do not help if the model cannot draft in this way.
        Alternatives = _faults.Exists(fault => fault.Option == PredictionSupport.Option) ? [] : PlanOffers.Of(request, _capacity, _perNode, _line),
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
            CommandLine = estimate.Fits ? _line.Of(estimate, _capacity.IsMixed) : null,
        };
    }

    private ModelPlan Describe(ParallelRequest request, PlanVerdict verdict) => new()
    {
        Model = _request.Name,
        Architecture = Shape.Architecture,
        SizesFrom = _model.SizesFrom,
        Parameters = _model.Parts.Parameters,
        ActiveParameters = _model.Parts.ActiveParameters,
        WeightBytes = _capacity.RankBytes(StageSplit.None),
        KvBytesPerToken = _capacity.KvBytesPerToken,
        ModelLength = Shape.MaxModelLength,
        Dtype = _settings.Dtype switch { ModelDtype.Float32 => "float32", ModelDtype.Float16 => "float16", _ => "bfloat16" },
        Cards = _cards,
        DevicesPerNode = _perNode ?? (int)Math.Min(int.MaxValue, request.WorldSize / Math.Max(1, request.Nodes)),
        Nodes = request.Nodes,
        TensorParallel = request.TensorParallel,
        PipelineParallel = request.PipelineParallel,
        DataParallel = request.DataParallel,
        Verdict = verdict,
        Notes = _notes,
        Smallest = _cards[0].IsCpu ? null : PlanOffers.Smallest(_capacity, _perNode ?? 1, _line),
    };

    // Norms, routers, embedding, head and the projection of multi-token prediction are in the model's type, whatever the list says.
    private static bool IsNeverQuantised(string module) =>
        module.EndsWith("norm", StringComparison.Ordinal) || module.EndsWith("gate", StringComparison.Ordinal)
        || module.EndsWith("embed_tokens", StringComparison.Ordinal) || module.EndsWith("lm_head", StringComparison.Ordinal)
        || module.EndsWith("eh_proj", StringComparison.Ordinal);

    private static string Listed(List<string> names)
    {
        var first = string.Join(", ", names.Take(MaxListed).Select(ModelFolderProblems.Quote));
        return names.Count > MaxListed ? string.Create(CultureInfo.InvariantCulture, $"{first} and {names.Count - MaxListed:N0} more") : first;
    }

    // By the sound of the first letter's name: an A100, an H100, an L4, an RTX 4090, but a T4, a V100.
    private static string WithArticle(string card) => ("AEFHILMNORSX".Contains(card[0], StringComparison.Ordinal) ? "an " : "a ") + card;
}
