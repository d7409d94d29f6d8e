using LocalLlm.Tokenization;
using LocalLlm.Tokenizers;
using Xunit;

namespace LocalLlm.Tests.Tokenization;

/// <summary>A tokenizer's failure becomes one of the engine's errors, with the same text, and blames the same side.</summary>
public sealed class TokenizerErrorsTests
{
    [Fact]
    public void A_folder_without_a_tokenizer_is_the_folders_fault()
    {
        var error = Assert.Throws<EngineException>(() => TokenizerErrors.Translated(() => Tokenizer.Load(Path.Combine(TestPaths.Repository, "docs"))));
        Assert.Equal(
            (EngineErrorKind.ModelFolder, "tokenizer.json: the model folder has no such file; a tokenizer is needed to turn text into ids", null),
            (error.Kind, error.Message, error.Parameter));
    }

    [Fact]
    public void An_unknown_id_is_the_requests_fault()
    {
        var tokenizer = Tokenizer.Load(TestPaths.TinyR1);
        var error = Assert.Throws<EngineException>(() => TokenizerErrors.Translated(() => tokenizer.Decode([-1])));
        Assert.Equal((EngineErrorKind.InvalidRequest, "token_ids"), (error.Kind, error.Parameter));
        Assert.Contains("token id -1 is out of range", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_unicode_data_is_the_environments_fault() =>
        Assert.Equal(EngineErrorKind.Environment, EngineException.Of(new TokenizerException(TokenizerErrorKind.Environment, "no data")).Kind);
}
