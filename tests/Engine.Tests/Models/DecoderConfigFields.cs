using LocalLlm.Models;
using LocalLlm.Models.Llama;
using LocalLlm.Models.Qwen;

namespace LocalLlm.Tests.Models;

/// <summary>Fields that only some families have, available on every configuration: false where the family lacks the field.</summary>
internal static class DecoderConfigFields
{
    extension(DecoderConfig config)
    {
        public bool MlpBias => config is LlamaConfig { MlpBias: true };

        public bool QkNorm => config is QwenConfig { QkNorm: true };
    }
}
