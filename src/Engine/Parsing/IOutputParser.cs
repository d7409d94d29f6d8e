namespace LocalLlm.Parsing;

/// <summary>
/// Reads a response bit by bit. The pieces do not depend on where the bits begin and end: joined, pieces of the same kind are the same.
/// </summary>
internal interface IOutputParser
{
    /// <summary>Takes more text and adds what is certain by now.</summary>
    void Append(ReadOnlySpan<char> text, List<ResponsePart> pieces);

    /// <summary>The response is over: adds the rest.</summary>
    /// <param name="pieces">Where the rest goes.</param>
    /// <param name="isCut">Whether a limit or a stop string ended it, so that a call that has begun may be incomplete.</param>
    void Finish(List<ResponsePart> pieces, bool isCut = false);
}
