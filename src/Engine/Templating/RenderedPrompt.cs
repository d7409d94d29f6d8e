namespace LocalLlm.Templating;

/// <summary>
/// A rendered chat. The caller's text must never be read as control tokens, so <see cref="GuardedText"/> has a guard character before each
/// added token that the caller wrote.
/// </summary>
/// <param name="Text">The prompt.</param>
/// <param name="GuardedText">The prompt with guard characters, for the tokenizer.</param>
/// <param name="Guard">The guard character, a noncharacter that occurs in no input; null: nothing is guarded.</param>
public sealed record RenderedPrompt(string Text, string GuardedText, char? Guard);
