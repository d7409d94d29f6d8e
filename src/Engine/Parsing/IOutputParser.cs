namespace LocalLlm.Parsing;

/// <summary>
/// Reads a response incrementally. Where the text is cut does not matter: joined, pieces of the same kind are always the same.
/// </summary>
internal interface IOutputParser
{
    /// <summary>Reads more text and adds the pieces that are certain by now.</summary>
    void Append(ReadOnlySpan<char> text, List<ResponsePart> pieces);

    /// <summary>Ends the response and adds the remaining pieces.</summary>
    /// <param name="pieces">Receives the remaining pieces.</param>
    /// <param name="isCut">Whether a limit or a stop string ended it, so that the last call may be incomplete.</param>
    void Finish(List<ResponsePart> pieces, bool isCut = false);
}
