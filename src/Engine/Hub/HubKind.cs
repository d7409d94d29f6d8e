namespace LocalLlm.Hub;

/// <summary>A hub to download models from.</summary>
public enum HubKind
{
    /// <summary>huggingface.co, or a mirror that speaks its protocol.</summary>
    HuggingFace,

    /// <summary>modelscope.cn.</summary>
    ModelScope,
}
