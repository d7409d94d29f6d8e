namespace LocalLlm.Tool.JsonLines;

/// <summary>One line of a JSONL file.</summary>
/// <param name="Number">Its number, from 1.</param>
/// <param name="Utf8">Its bytes without the line feed, unchecked.</param>
/// <param name="Problem">Why the line could not be read completely, or null.</param>
internal readonly record struct JsonLine(long Number, ReadOnlyMemory<byte> Utf8, string? Problem = null);
