namespace LocalLlm;

/// <summary>The closed set of causes of an <see cref="EngineException"/>. Each blames one side.</summary>
public enum EngineErrorKind
{
    /// <summary>The caller's request is malformed or out of range. Retrying it unchanged cannot succeed.</summary>
    InvalidRequest,

    /// <summary>The prompt, or the prompt plus the tokens asked for, exceeds the model's context or the whole KV cache.</summary>
    ContextLengthExceeded,

    /// <summary>The options given at load time are malformed, contradictory, or ask for what this build cannot do.</summary>
    InvalidOptions,

    /// <summary>A file of the model folder is missing, malformed, hostile, or describes a model that is not supported.</summary>
    ModelFolder,

    /// <summary>The machine lacks something the engine needs: a native library, a device, memory.</summary>
    Environment,

    /// <summary>The engine is full for now (queue limit). The same request may succeed later.</summary>
    Overloaded,

    /// <summary>The engine is shutting down or was disposed.</summary>
    ShuttingDown,

    /// <summary>A computation of this request failed (for example non-finite logits); other requests are not affected.</summary>
    GenerationFailed,

    /// <summary>The engine itself has failed and serves no more requests.</summary>
    EngineDead,
}
