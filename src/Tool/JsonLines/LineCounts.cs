namespace LocalLlm.Tool.JsonLines;

/// <summary>Counts of the output so far.</summary>
/// <param name="Lines">Lines, failed ones included.</param>
/// <param name="Failed">Lines that hold an error.</param>
/// <param name="Tokens">Generated tokens.</param>
internal readonly record struct LineCounts(long Lines, long Failed, long Tokens);
