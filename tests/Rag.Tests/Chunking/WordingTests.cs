using LocalLlm.Samples.Rag.Chunking;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Chunking;

public sealed class WordingTests
{
    [Theory]
    [InlineData("The temperature is -25 degrees.", "-25 degrees", true)]
    [InlineData("The temperature is −25 degrees.", "-25 degrees", true)]
    [InlineData("The temperature is -25 degrees.", "25 degrees", false)]
    [InlineData("It weighs 3.5 kg.", "3.5 kg", true)]
    [InlineData("It weighs 3.5 kg.", "5 kg", false)]
    [InlineData("It weighs 3.5 kg.", "3", false)]
    [InlineData("It costs 1,250 dollars.", "250 dollars", false)]
    [InlineData("A well-known device, number 7-9.", "number 7 9", true)]
    [InlineData("It has 25.", "has 25", true)]
    [InlineData("压力是412巴。", "412巴", true)]
    [InlineData("The Ember SERVER is blue!", "ember server is blue", true)]
    [InlineData("The Embers are blue.", "ember", false)]
    public void Words_are_the_same_without_their_punctuation_and_numbers_only_with_theirs(string text, string words, bool isThere) => Assert.Equal(isThere, Wording.Contains(text, words));
}
