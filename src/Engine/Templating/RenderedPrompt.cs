namespace LocalLlm.Templating;

/// <summary>
/// A rendered chat. Text that came from the caller must never be read as control tokens, so <see cref="GuardedText"/> has a
/// guard character in front of each added token that the caller wrote.
/// </summary>
/// <param name="Text">The prompt.</param>
/// <param name="GuardedText">The prompt with guard characters, for the tokenizer.</param>
/// <param name="Guard">The guard character, a noncharacter that occurs in no input; null where nothing was guarded.</param>
public sealed record RenderedPrompt(string Text, string GuardedText, char? Guard);
