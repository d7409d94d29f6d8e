namespace LocalLlm.Tokenizers;

/// <summary>A token that is found in the text before (or after) normalisation and is never split.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its text.</param>
/// <param name="SingleWord">Matches only where no word character is next to it.</param>
/// <param name="LeftStrip">The match includes the white space before it.</param>
/// <param name="RightStrip">The match includes the white space after it.</param>
/// <param name="Normalized">Is searched for in the normalised text, in its own normalised form.</param>
/// <param name="Special">Is left out when special tokens are skipped.</param>
internal sealed record AddedToken(
    int Id, string Content, bool SingleWord, bool LeftStrip, bool RightStrip, bool Normalized, bool Special);
