namespace LocalLlm.Tokenizers;

/// <summary>A stretch of a text that is an added token, or that holds none.</summary>
internal readonly record struct AddedTokenSegment(int Start, int Length, AddedToken? Token);
