using Xunit;

namespace LocalLlm.Samples.Rag.Tests;

public sealed class PlainLineTests
{
    [Fact]
    public void A_document_cannot_steer_the_terminal() => Assert.Equal("red \uFFFD[2J gone 汉字", PlainLine.Of("red\n \u001B[2J\tgone 汉字"));
}
