namespace LocalLlm.Tokenizers;

/// <summary>A stretch of a text that is one added token or contains none.</summary>
internal readonly record struct AddedTokenSegment(int Start, int Length, AddedToken? Token);
