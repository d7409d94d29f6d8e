using LocalLlm.Samples.Rag.Agreement;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Agreement;

public sealed class SentenceAgreementTests
{
    private static readonly Synonyms s_synonyms = Synonyms.Load(Path.Combine(TestPaths.Repository, "samples", "Rag", "synonyms.txt"));

    [Theory]
    [InlineData("What is the height of the Harbor crane?", "The height of the Harbor crane is 40 meters.")]
    [InlineData("what's the harbor crane's height", "The height of the Harbor crane is 40 meters.")]
    [InlineData("Could you please tell me the height of the Harbor crane?", "The height of the Harbor crane is 40 meters.")]
    [InlineData("How high is the Harbor crane?", "The Harbor crane is 40 meters tall.")]
    [InlineData("How high is the price of the Harbor crane?", "The price of the Harbor crane is 9 dollars.")]
    [InlineData("What colour is the Falcon scanner?", "The color of the Falcon scanner is black.")]
    [InlineData("How much does the Falcon scanner cost?", "The price of the Falcon scanner is 415 dollars.")]
    [InlineData("What does the Falcon scanner weigh?", "The Falcon scanner weighs 2 kilograms.")]
    [InlineData("How many watts has the Ember server?", "The power of the Ember server is 903 watts.")]
    [InlineData("How many seats does the canoe have?", "The canoe has three seats.")]
    [InlineData("Where does the camp lie?", "The camp lies on the shore.")]
    [InlineData("摄影棚的面积有多大？", "摄影棚的面积是120平方米。")]
    [InlineData("How many eggs does the cake need?", "The cake needs 3 eggs.")]
    [InlineData("How much sugar does the cake need?", "The cake needs 250 grams of sugar.")]
    [InlineData("What is the power of the Orion turbine?", "Engineers measured a power of 67 watts on the Orion turbine.")]
    [InlineData("Where does Tom Lee live?", "Tom Lee lives in Madrid.")]
    [InlineData("In which city does Tom Lee live?", "Tom Lee lives in Madrid.")]
    [InlineData("Who lives in Madrid?", "Tom Lee lives in Madrid.")]
    [InlineData("Who is Tom Lee?", "Tom Lee is a nurse.")]
    [InlineData("Who repaired the pump?", "The pump was repaired by Ivo Petrov.")]
    [InlineData("Who is the captain of the tug?", "The captain of the tug is Rosa Lind.")]
    [InlineData("When was the tug built?", "The tug was built in 1973.")]
    [InlineData("When does the gate open?", "The gate opens at 9.")]
    [InlineData("What must visitors wear?", "Visitors must wear a helmet.")]
    [InlineData("What is the pump made of?", "The pump is made of steel.")]
    [InlineData("Must visitors wear a helmet?", "Visitors must wear a helmet.")]
    [InlineData("红星泵的压力是多少？", "红星泵的压力是8巴。")]
    [InlineData("红星泵压力多少？", "红星泵的压力是8巴。")]
    [InlineData("红星泵多重？", "红星泵重2公斤。")]
    [InlineData("红星泵多少钱？", "红星泵的价格是300美元。")]
    [InlineData("马静住在哪里？", "马静住在伦敦。")]
    [InlineData("谁是车间主任？", "张伟是车间主任。")]
    public void A_sentence_that_says_the_questions_words_as_one_phrase_answers_it(string question, string sentence) => Assert.True(Agrees(question, sentence));

    [Theory]
    // Another attribute of the same thing, the same attribute of another thing.
    [InlineData("What is the height of the Harbor crane?", "The speed of the Harbor crane is 12 km/h.")]
    [InlineData("What is the height of the Falcon scanner?", "The height of the Harbor crane is 40 meters.")]
    [InlineData("How old is Tom Lee?", "Tom Lee is a nurse.")]
    [InlineData("Where does Peter live?", "Peters lives in Oslo.")]
    [InlineData("Where does Ann live?", "Anne lives in Oslo.")]
    [InlineData("红星泵的颜色是什么？", "红星泵的压力是8巴。")]
    [InlineData("红星泵的压力是多少？", "蓝星泵的压力是8巴。")]
    // A longer name, or a part of the thing.
    [InlineData("What is the price of the Falcon scanner?", "The price of the Falcon scanner Pro is 900 dollars.")]
    [InlineData("What is the price of the Falcon scanner?", "The price of the Falcon scanner case is 9 dollars.")]
    [InlineData("What is the price of the Falcon scanner?", "The price of the case of the Falcon scanner is 9 dollars.")]
    [InlineData("What does the Falcon scanner cost?", "The Falcon scanner's case costs 9 dollars.")]
    [InlineData("What does the Falcon scanner cost?", "The Falcon scanner 2 costs 900 dollars.")]
    [InlineData("What is the height of the Harbor crane?", "The height of the North Harbor crane is 40 meters.")]
    [InlineData("Where does Tom Lee live?", "Tom Lee's sister lives in Paris.")]
    [InlineData("Who is Tom Lee?", "The sister of Tom Lee is a nurse.")]
    [InlineData("红星泵的压力是多少？", "新红星泵的压力是8巴。")]
    [InlineData("红星泵的压力是多少？", "红星泵的外壳的压力是8巴。")]
    [InlineData("李娜住在哪里？", "李娜的丈夫住在北京。")]
    // Two facts in one sentence.
    [InlineData("What is the height of the Falcon scanner?", "The price of the Falcon scanner is 415 dollars and the height of the Harbor crane is 40 meters.")]
    [InlineData("Where does Tom Lee live?", "Anna Kim lives in Madrid, Tom Lee in Paris.")]
    // Another kind of answer.
    [InlineData("Where was Tom Lee born?", "Tom Lee was born in 1979.")]
    [InlineData("When was the tug built?", "The tug was built in Bergen.")]
    [InlineData("When was the tug bought?", "The tug was bought for 300 dollars.")]
    [InlineData("Who repaired the pump?", "The pump was repaired in Berlin.")]
    [InlineData("Who built the reading room?", "The piano in the reading room was built by Otto Kranz.")]
    [InlineData("How many beds does the clinic have?", "The ward of the clinic has 18 beds.")]
    [InlineData("Why does the pump stop?", "The pump stops at night.")]
    // Nothing new, nothing named, no statement.
    [InlineData("What is the height of the Harbor crane?", "Height of the Harbor crane")]
    [InlineData("What is the height of the Harbor crane?", "What is the height of the Harbor crane in meters?")]
    [InlineData("And its color?", "The color of the Falcon scanner is black.")]
    [InlineData("What is it?", "It is a pump.")]
    [InlineData("What is the price?", "The price of the Falcon scanner is 415 dollars.")]
    [InlineData("What does Tom Lee do?", "Tom Lee lives in Madrid.")]
    [InlineData("What does the pump have?", "The pump is blue.")]
    public void Any_other_sentence_does_not(string question, string sentence) => Assert.False(Agrees(question, sentence));

    [Theory]
    [InlineData("What is the price of the Falcon scanner?", "Price: 415 dollars", "Falcon scanner", true)]
    [InlineData("How heavy is the Falcon scanner?", "It weighs 2 kilograms.", "Stock › Falcon scanner", true)]
    [InlineData("When was the Albatross tug built?", "The tug was built in 1973.", "The Albatross tug", true)]
    [InlineData("What is the price of the Falcon scanner?", "Falcon scanner: 415 dollars", "Prices", true)]
    [InlineData("What is the price of the Falcon scanner?", "The price of the Harbor crane is 9 dollars.", "Falcon scanner", false)]
    [InlineData("What is the price of the Falcon scanner?", "The case has a price of 9 dollars.", "Falcon scanner", false)]
    [InlineData("What is the price of the Falcon scanner?", "Price: 9 dollars", "Falcon scanner case", false)]
    [InlineData("What is the price of the Falcon scanner?", "Price: 9 dollars", "Falcon scanner › Accessories", false)]
    [InlineData("What is the color of the Falcon scanner?", "Price: 9 dollars", "Falcon scanner", false)]
    public void A_heading_names_what_its_sentences_are_about(string question, string sentence, string heading, bool answers) => Assert.Equal(answers, Agrees(question, sentence, heading));

    [Theory]
    [InlineData("What is the color of the Titan crane?", "Crane: Titan crane; Load: 40 tonnes; Colour: yellow", "", true)]
    [InlineData("What is the load of the Titan crane?", "Crane: Titan; Load (t): 40; Colour: yellow", "", true)]
    [InlineData("What is the price of the Falcon scanner?", "Property: price; Falcon scanner: 415; Harbor crane: 900", "", true)]
    [InlineData("What is the price of the Falcon scanner?", "Property: price; Value: 415 dollars", "Falcon scanner", true)]
    [InlineData("What is the height of the Titan crane?", "Crane: Titan crane; Load: 40 tonnes; Colour: yellow", "", false)]
    [InlineData("What is the color of the Titan crane?", "Crane: Goliath crane; Load: 40 tonnes; Colour: yellow", "", false)]
    [InlineData("What is the color of the Titan crane?", "Crane: Titan crane cabin; Load: 40 tonnes; Colour: yellow", "", false)]
    [InlineData("What is the price of the Titan crane?", "Crane: Titan crane; Price of the hook: 9 dollars", "", false)]
    public void A_row_of_a_table_says_its_cells_of_what_another_cell_names(string question, string row, string heading, bool answers) => Assert.Equal(answers, Agrees(question, row, heading));

    [Fact]
    public void A_long_run_without_spaces_costs_no_more_than_its_square()
    {
        var sentence = new string('啊', 200) + "。";
        foreach (var length in new[] { 31, 4000 })
            Assert.False(Agrees(new string('啊', length) + "吧啦？", sentence));
    }

    [Fact]
    public void Synonyms_are_sets_and_what_is_none_is_refused_with_its_line()
    {
        var synonyms = Synonyms.Parse(["# comment", "", "draught, depth # of a ship"], "file");
        Assert.True(SentenceAgreement.Agrees(AskedQuestion.Read("What is the depth of the tug?", synonyms), "The draught of the tug is 3 meters.", ""));
        Assert.False(SentenceAgreement.Agrees(AskedQuestion.Read("What is the depth of the tug?", Synonyms.None), "The draught of the tug is 3 meters.", ""));
        Assert.Contains("file, line 2: 'alone'", Assert.Throws<RagException>(() => Synonyms.Parse(["a, b", "alone"], "file")).Message, StringComparison.Ordinal);
        Assert.Contains("Rag:Search:Synonyms", Assert.Throws<RagException>(() => Synonyms.Load("/none")).Message, StringComparison.Ordinal);
    }

    private static bool Agrees(string question, string sentence, string heading = "") => SentenceAgreement.Agrees(AskedQuestion.Read(question, s_synonyms), sentence, heading);
}
