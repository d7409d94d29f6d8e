namespace LocalLlm.Tokenizers;

/// <summary>The options of a BPE model, with the meaning that tokenizer.json gives them.</summary>
/// <param name="UnknownId">Stands for a character that is not in the vocabulary; null: such a character is dropped.</param>
/// <param name="FuseUnknown">Adjacent unknown characters become one unknown token.</param>
/// <param name="ByteFallback">An unknown character becomes its UTF-8 bytes, as tokens such as <c>&lt;0x0A&gt;</c>.</param>
/// <param name="IgnoreMerges">A piece that is a token as a whole is not split at all.</param>
internal sealed record BpeOptions(int? UnknownId, bool FuseUnknown, bool ByteFallback, bool IgnoreMerges);
