namespace LocalLlm.Extensions.AI;

/// <summary>What <c>AddLocalLlm</c> configures: the model and the most common engine options. Everything else is in <see cref="ConfigureEngine"/>.</summary>
public sealed class LocalLlmOptions
{
    /// <summary>The model's folder: config.json, *.safetensors, tokenizer.json.</summary>
    public string ModelPath { get; set; } = "";

    /// <summary>The name that clients see; null: the folder's name.</summary>
    public string? ModelId { get; set; }

    /// <summary><c>auto</c>, <c>float32</c>, <c>bfloat16</c> or <c>float16</c>.</summary>
    public string Dtype { get; set; } = "auto";

    /// <summary>Devices that every layer is split over.</summary>
    public int TensorParallel { get; set; } = 1;

    /// <summary>Most tokens of prompt and answer together; null: what the model knows and memory holds.</summary>
    public int? MaxModelLength { get; set; }

    /// <summary>Most requests that run at once; null: 256.</summary>
    public int? MaxBatchSize { get; set; }

    /// <summary>How long the host's shutdown lets running requests finish.</summary>
    public TimeSpan DrainTimeout { get; set; }

    /// <summary>Sets any further engine option.</summary>
    public Func<EngineOptions, EngineOptions>? ConfigureEngine { get; set; }

    internal EngineOptions ToEngineOptions()
    {
        var options = new EngineOptions
        {
            ModelPath = ModelPath,
            ServedModelName = ModelId,
            Dtype = Dtype,
            TensorParallel = TensorParallel,
            MaxModelLen = MaxModelLength,
            MaxNumSeqs = MaxBatchSize,
            DrainTimeout = DrainTimeout,
        };
        return ConfigureEngine is null ? options : ConfigureEngine(options);
    }
}
