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

    [Theory]
    [InlineData("Where does Tom Lee live?", "How old is he?", "How old is Tom Lee?")]
    [InlineData("Where is Maria Lopez's office?", "When did she join the port?", "When did Maria Lopez join the port?")]
    [InlineData("When was Olaf Brandt born?", "Where does his sister live?", "Where does Olaf Brandt's sister live?")]
    [InlineData("What is the telephone number of Ida Holm?", "And Olaf Brandt's?", "What is the telephone number of Olaf Brandt?")]
    [InlineData("Is the Harbor crane 2 higher than the Harbor crane 1?", "How fast is it?", "How fast is the Harbor crane 2?")]
    [InlineData("When was the Gannet built?", "How long is it?", "How long is the Gannet?")]
    [InlineData("How much does a permit cost?", "How long is it?", "How long is a permit?")]
    [InlineData("When was shed A repaired?", "Who painted it?", "Who painted shed A?")]
    [InlineData("What must visitors wear?", "And the Falcon scanner's price?", "What is the Falcon scanner's price?")]
    [InlineData(Price, "How heavy is this?", "How heavy is the Falcon scanner?")]
    [InlineData(Price, "THE PRICE?", "What is the price of the Falcon scanner?")]
    [InlineData("王芳住在哪里？", "她喜欢什么？", "王芳喜欢什么？")]
    [InlineData("红星泵的压力是多少？", "这个多少钱？", "红星泵多少钱？")]
    public void The_topic_is_the_name_without_its_verb(string last, string question, string wanted) => Assert.Equal(wanted, CarriedQuestion.Readings(last, question)[0]);

    [Theory]
    [InlineData("吉他的价格是多少？")]
    [InlineData("Who is the head of the IT department?")]
    [InlineData("Thanks")]
    [InlineData("And?")]
    [InlineData("谢谢")]
    public void What_stands_alone_or_asks_nothing_stays_as_it_is(string question)
    {
        Assert.Equal([question], CarriedQuestion.Readings(Price, question));
        Assert.Equal([question], CarriedQuestion.Readings("红星泵的压力是多少？", question));
    }

    [Theory]
    [InlineData("And?")]
    [InlineData("Thanks")]
    [InlineData("谢谢")]
    [InlineData("By whom?")]
    [InlineData("THE PRICE?")]
    [InlineData("How heavy is it?")]
    public void A_turn_that_names_nothing_has_no_topic(string question) => Assert.Empty(CarriedQuestion.Topics(question));

    [Fact]
    public void A_bare_noun_may_also_name_another_thing()
    {
        Assert.Contains("What is the price of the harbor crane?", CarriedQuestion.Readings(Price, "and the harbor crane?"));
        Assert.Contains("蓝天泵的压力是多少？", CarriedQuestion.Readings("红星泵的压力是多少？", "蓝天泵呢？"));
        Assert.Contains("What are the opening hours?", CarriedQuestion.Readings(Price, "What are the opening hours?"));
    }
}
