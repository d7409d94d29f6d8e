using LocalLlm.Samples.Rag.Agent;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Agent;

public sealed class CarriedQuestionTests
{
    private const string Price = "What is the price of the Falcon scanner?";

    [Theory]
    [InlineData(Price, "And its color?", "What is the color of the Falcon scanner?")]
    [InlineData(Price, "its colour", "What is the colour of the Falcon scanner?")]
    [InlineData(Price, "What is its color?", "What is the color of the Falcon scanner?")]
    [InlineData(Price, "And what about its maximum load?", "What is the maximum load of the Falcon scanner?")]
    [InlineData(Price, "How heavy is it?", "How heavy is the Falcon scanner?")]
    [InlineData(Price, "And the color?", "What is the color of the Falcon scanner?")]
    [InlineData(Price, "What about the color?", "What is the color of the Falcon scanner?")]
    [InlineData(Price, "What is the color?", "What is the color of the Falcon scanner?")]
    [InlineData(Price, "How heavy?", "How heavy is the Falcon scanner?")]
    [InlineData(Price, "And the Harbor crane?", "What is the price of the Harbor crane?")]
    [InlineData(Price, "What about the Harbor crane?", "What is the price of the Harbor crane?")]
    [InlineData(Price, "And what is the color of the Harbor crane?", "what is the color of the Harbor crane?")]
    [InlineData(Price, "What is the height of the Harbor crane?", "What is the height of the Harbor crane?")]
    [InlineData(Price, "Where does Tom Lee live?", "Where does Tom Lee live?")]
    [InlineData("what is the price of the falcon scanner?", "and its color?", "What is the color of the falcon scanner?")]
    [InlineData("Tell me the Falcon scanner's price.", "And its color?", "What is the color of the Falcon scanner?")]
    [InlineData("How heavy is the Falcon scanner?", "And its color?", "What is the color of the Falcon scanner?")]
    [InlineData("Where does Tom Lee live?", "What is his job?", "What is the job of Tom Lee?")]
    [InlineData("Where does Tom Lee live?", "And how old is he?", "how old is Tom Lee?")]
    [InlineData("Where does Tom Lee live?", "And Anna Kim?", "Where does Anna Kim live?")]
    [InlineData("红星泵的压力是多少？", "它的颜色是什么？", "红星泵的颜色是什么？")]
    [InlineData("红星泵的压力是多少？", "那它的颜色呢？", "红星泵的颜色是什么？")]
    [InlineData("红星泵的压力是多少？", "颜色呢？", "红星泵的颜色是什么？")]
    [InlineData("红星泵的压力是多少？", "价格是多少？", "红星泵的价格是多少？")]
    [InlineData("红星泵的压力是多少？", "蓝天泵的压力是多少？", "蓝天泵的压力是多少？")]
    public void A_question_that_needs_the_one_before_takes_its_topic(string last, string question, string wanted) => Assert.Equal(wanted, CarriedQuestion.Readings(last, question)[0]);

    [Fact]
    public void A_bare_noun_may_also_name_another_thing()
    {
        Assert.Contains("What is the price of the harbor crane?", CarriedQuestion.Readings(Price, "and the harbor crane?"));
        Assert.Contains("蓝天泵的压力是多少？", CarriedQuestion.Readings("红星泵的压力是多少？", "蓝天泵呢？"));
        Assert.Contains("What are the opening hours?", CarriedQuestion.Readings(Price, "What are the opening hours?"));
    }
}
