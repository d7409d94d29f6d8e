using LocalLlm.Models;
using LocalLlm.Models.Llama;
using LocalLlm.Models.Qwen;

namespace LocalLlm.Tests.Models;

/// <summary>What only some families have, as a field of all of them: false where a family does not have it.</summary>
internal static class DecoderConfigFields
{
    extension(DecoderConfig config)
    {
        public bool MlpBias => config is LlamaConfig { MlpBias: true };

        public bool QkNorm => config is QwenConfig { QkNorm: true };
    }
}
