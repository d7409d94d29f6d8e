namespace LocalLlm.Tokenizers;

/// <summary>The switches of a BPE model, under the meaning tokenizer.json gives them.</summary>
/// <param name="UnknownId">Stands for a character that the vocabulary lacks; null: such a character vanishes.</param>
/// <param name="FuseUnknown">Adjacent unknown characters become one unknown token.</param>
/// <param name="ByteFallback">An unknown character becomes its UTF-8 bytes, tokens such as <c>&lt;0x0A&gt;</c>.</param>
/// <param name="IgnoreMerges">A piece that is a token as a whole is not split at all.</param>
internal sealed record BpeOptions(int? UnknownId, bool FuseUnknown, bool ByteFallback, bool IgnoreMerges);
