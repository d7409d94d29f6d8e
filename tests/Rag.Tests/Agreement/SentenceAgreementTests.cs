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
    // Another attribute of the same thing, or the same attribute of another thing.
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
    // The sentence says nothing new or is no statement, or the question names nothing.
    [InlineData("What is the height of the Harbor crane?", "Height of the Harbor crane")]
    [InlineData("What is the height of the Harbor crane?", "What is the height of the Harbor crane in meters?")]
    [InlineData("And its color?", "The color of the Falcon scanner is black.")]
    [InlineData("What is it?", "It is a pump.")]
    [InlineData("What is the price?", "The price of the Falcon scanner is 415 dollars.")]
    [InlineData("What does Tom Lee do?", "Tom Lee lives in Madrid.")]
    [InlineData("What does the pump have?", "The pump is blue.")]
    public void Any_other_sentence_does_not(string question, string sentence) => Assert.False(Agrees(question, sentence));

    [Theory]
    [InlineData("How old is the Falcon phone?", "The Falcon phone is black.", "", false)]
    [InlineData("How far does Emil Kern live?", "Emil Kern lives in Padua.", "", false)]
    [InlineData("How fast does the race start?", "The race starts at noon.", "", false)]
    [InlineData("How long is the email of Ada Beck?", "The email of Ada Beck is new.", "", false)]
    [InlineData("How old is the price of the pump?", "The price of the pump is 9 dollars.", "", false)]
    [InlineData("How high is the temperature of the oven?", "The temperature of the oven is 200 degrees.", "", true)]
    [InlineData("What is the age of the old bridge?", "The age of the bridge is 40 years.", "", false)]
    public void How_with_an_adjective_asks_for_that_measure_and_no_other(string question, string sentence, string heading, bool answers) => Assert.Equal(answers, Agrees(question, sentence, heading));

    [Theory]
    [InlineData("Who is the operator of the tractor?", "The operator of the tractor is not Maria Lopez.", "", false)]
    [InlineData("Where is the Arctic freezer?", "Neither the Polar freezer nor the Arctic freezer is in room 118.", "", false)]
    [InlineData("Who repaired the sluice?", "Karl Bode didn't repair the sluice.", "", false)]
    [InlineData("Who tested the siren?", "Nobody has tested the siren.", "", false)]
    [InlineData("What does the tractor run on?", "The tractor does not run on diesel.", "", false)]
    [InlineData("What must visitors not bring?", "Visitors must not bring a dog.", "", true)]
    [InlineData("甲公司的总部在哪里？", "甲公司的总部不在北京。", "", false)]
    [InlineData("红星泵的颜色是什么？", "红星泵的颜色并非蓝色。", "", false)]
    [InlineData("水箱的材料是什么？", "水箱的材料是不锈钢。", "", true)]
    public void A_denial_answers_nothing_unless_it_is_asked_for(string question, string sentence, string heading, bool answers) => Assert.Equal(answers, Agrees(question, sentence, heading));

    [Theory]
    [InlineData("Who tested the freezer?", "The alarm was tested by Paul Meyer.", "Freezer", false)]
    [InlineData("Who tested the freezer?", "Paul Meyer tested the brake.", "Freezer", false)]
    [InlineData("Who tested the freezer?", "Tested by Paul Meyer.", "Freezer", true)]
    [InlineData("Who tested the freezer?", "Paul Meyer tested it in 2020.", "Freezer", true)]
    [InlineData("When does the museum open?", "Opens its café at 8:30.", "Museum", false)]
    [InlineData("When does the museum open?", "Opens at 8:30.", "Museum", true)]
    [InlineData("When does the museum close?", "Close the north window at 18:00.", "Museum", false)]
    [InlineData("水塔什么时候检查？", "检查电线：3月5日", "水塔", false)]
    [InlineData("What is the load of the Hoist?", "Load: 5 tonnes", "Hoist 1", false)]
    [InlineData("What is the load of the Hoist?", "Load: 5 tonnes", "2.1 Hoist", true)]
    [InlineData("What is the room of Anna Schmidt?", "Room: 118", "Dr. Anna Schmidt", true)]
    [InlineData("Where is Winch B sold?", "Sold in Spain.", "Winch B", true)]
    public void Under_a_heading_a_sentence_must_not_name_another_thing(string question, string sentence, string heading, bool answers) => Assert.Equal(answers, Agrees(question, sentence, heading));

    [Theory]
    [InlineData("What is the phone of Greta Moss?", "Employee: Uwe Lang; Manager: Greta Moss; Phone: 555-77", "", false)]
    [InlineData("What is the phone of Uwe Lang?", "Employee: Uwe Lang; Manager: Greta Moss; Phone: 555-77", "", true)]
    [InlineData("What is the phone of Uwe Lang?", "No: 4; Employee: Uwe Lang; Phone: 555-77", "", true)]
    [InlineData("What is the weight of the Lynx camera?", "Feature: weight; Tolerance: 2 grams", "Lynx camera", false)]
    [InlineData("What is the weight of the Lynx camera?", "Feature: weight; Value: 2 grams", "Lynx camera", true)]
    [InlineData("What is the departure of Jena?", "From: Jena; To: Ulm; Departure: 8:10", "", false)]
    [InlineData("What is the departure from Jena to Ulm?", "From: Jena; To: Ulm; Departure: 8:10", "", true)]
    [InlineData("What is the departure from Ulm to Jena?", "From: Jena; To: Ulm; Departure: 8:10", "", false)]
    [InlineData("罗兰的电话是多少？", "姓名: 何平; 主管: 罗兰; 电话: 6612", "", false)]
    public void A_row_is_about_its_first_cell_and_a_lone_value_needs_the_name_of_one(string question, string sentence, string heading, bool answers) => Assert.Equal(answers, Agrees(question, sentence, heading));

    [Theory]
    [InlineData("When does the train from Oslo to Bergen leave?", "The train from Bergen to Oslo leaves at 9:15.", "", false)]
    [InlineData("When does the train from Bergen to Oslo leave?", "The train from Bergen to Oslo leaves at 9:15.", "", true)]
    [InlineData("从北京到上海的列车几点出发？", "从上海到北京的列车8点出发。", "", false)]
    [InlineData("从上海到北京的列车几点出发？", "从上海到北京的列车8点出发。", "", true)]
    [InlineData("Who printed the book about Lincoln?", "The book by Lincoln was printed by Knopf.", "", false)]
    [InlineData("Who did Ruth Vega promote?", "Ruth Vega was promoted by Omar Diaz.", "", false)]
    [InlineData("Who promoted Ruth Vega?", "Ruth Vega was promoted by Omar Diaz.", "", true)]
    [InlineData("谁打败了赵敏？", "赵敏打败了钱进。", "", false)]
    [InlineData("谁打败了钱进？", "赵敏打败了钱进。", "", true)]
    [InlineData("Where does the daughter of Nora's teacher live?", "The teacher of Nora's daughter lives in Lyon.", "", false)]
    [InlineData("Where is Sofia's boat?", "Sofia is on a boat in Split.", "", false)]
    [InlineData("周涛的女儿的老师是谁？", "周涛的老师的女儿是王芳。", "", false)]
    [InlineData("What must visitors bring?", "Visitors may bring a dog.", "", false)]
    public void Direction_and_role_must_be_the_same(string question, string sentence, string heading, bool answers) => Assert.Equal(answers, Agrees(question, sentence, heading));

    [Theory]
    [InlineData("Who is the captain of the Seagull?", "Pia Roth married the captain of the Seagull.", "", false)]
    [InlineData("When was the Kite lamp designed?", "The engineer who designed the Kite lamp was born in 1951.", "", false)]
    [InlineData("When was the dredger bought?", "The company that bought the dredger was founded in 1934.", "", false)]
    [InlineData("What is the temperature of the oven?", "When the temperature of the oven is above 300 degrees, the alarm rings.", "", false)]
    [InlineData("What is the pressure of the boiler?", "If the pressure of the boiler is 6 bar, call Anna.", "", false)]
    [InlineData("What is the price of the Robin bike?", "The price of the Wren bike is 90 euros higher than the price of the Robin bike.", "", false)]
    [InlineData("What is the price of the Wren bike?", "The price of the Wren bike is 90 euros higher than the price of the Robin bike.", "", false)]
    [InlineData("Who is the owner of the works?", "Tilda Ros and the owner of the works are friends.", "", false)]
    [InlineData("What is the temperature of the reactor?", "Near the reactor the temperature is 45 degrees.", "", false)]
    [InlineData("What is the color of the hall?", "Our guests love the color of the hall.", "", false)]
    [InlineData("When was the tug built?", "In 1973 the tug was built.", "", true)]
    [InlineData("Who is the son of Ines?", "Hugo is the son of Ines.", "", true)]
    [InlineData("What is the price of the Wren bike?", "The color of the Wren bike is blue, and the price of the Wren bike is 9 euros.", "", true)]
    public void What_stands_before_the_phrase_must_not_make_it_part_of_another_statement(string question, string sentence, string heading, bool answers) => Assert.Equal(answers, Agrees(question, sentence, heading));

    [Theory]
    [InlineData("What is the weight of the drill?", "The manual describes the weight of the drill.", "", false)]
    [InlineData("What is the color of the drill?", "The color of the drill can be changed.", "", false)]
    [InlineData("What is the price of the vase?", "The price of the vase has risen.", "", false)]
    [InlineData("What is the speed limit of the lift?", "The speed limit of the lift was discussed.", "", false)]
    [InlineData("What is the length of the canoe?", "Leo asked, \"What is the length of the canoe?\"", "", false)]
    [InlineData("Who is the mayor of Alder?", "The mayor of Alder was Kurt Weiss until 1999.", "", false)]
    [InlineData("What is the pressure of the pump?", "The pump has a pressure of 8 bar.", "", true)]
    [InlineData("What is the address of the dentist?", "Silt Street 5 is the address of the dentist.", "", true)]
    [InlineData("What is the height of the mast?", "Height of the mast: 52 meters", "", true)]
    [InlineData("红星泵的压力是多少？", "红星泵的压力为8巴。", "", true)]
    [InlineData("丙车的价格是多少？", "丙车的价格将公布。", "", false)]
    public void A_value_stands_behind_a_form_of_to_be_a_colon_or_the_phrase_itself(string question, string sentence, string heading, bool answers) => Assert.Equal(answers, Agrees(question, sentence, heading));

    [Theory]
    [InlineData("Who repaired the bridge?", "Yesterday the bridge was repaired.", "", false)]
    [InlineData("Who painted the windmill?", "In August the windmill was painted.", "", false)]
    [InlineData("Who is the coach of the Hawks?", "The coach of the Hawks is a Norwegian.", "", false)]
    [InlineData("王强的妻子是谁？", "王强的妻子是医生。", "", false)]
    [InlineData("王强的妻子是谁？", "王强的妻子是李梅。", "", true)]
    [InlineData("When was the ferry built?", "The ferry was built in 9 months.", "", false)]
    [InlineData("孙丽什么时候住进宿舍？", "孙丽住进宿舍3号楼。", "", false)]
    [InlineData("How many rooms does the hotel have?", "The hotel has had rooms since 1990.", "", false)]
    [InlineData("How many seats does the bus have?", "The bus has seats for children under 12.", "", false)]
    [InlineData("How many rooms does the hotel have?", "The hotel has 80 rooms.", "", true)]
    [InlineData("Where is the Jade printer?", "The Jade printer is in good condition.", "", false)]
    [InlineData("Where is the Jade printer?", "The Jade printer stands in room 4.", "", true)]
    [InlineData("王强在哪里？", "王强和李梅的儿子在伦敦。", "", false)]
    public void A_person_a_time_a_place_and_an_amount_stand_where_the_question_wants_them(string question, string sentence, string heading, bool answers) => Assert.Equal(answers, Agrees(question, sentence, heading));

    [Theory]
    [InlineData("What is the price of the plane?", "The price of the plan is 70 euros.", "", false)]
    [InlineData("Where is the win?", "The wine is in the cellar.", "", false)]
    [InlineData("What is the price of shipping?", "The price of the ship is 2 dollars.", "", false)]
    [InlineData("Where is the parking?", "The park is behind the church.", "", false)]
    [InlineData("When did the train stop?", "The train stopped at 9:15.", "", true)]
    [InlineData("What is the price of the boxes?", "The price of the box is 2 dollars.", "", true)]
    [InlineData("Where does Tom live?", "Tom lived in Oslo.", "", true)]
    [InlineData("Who invented C++?", "C was invented by Dennis Ritchie.", "", false)]
    [InlineData("Who invented C?", "C was invented by Dennis Ritchie.", "", true)]
    [InlineData("What is the price of the Mango tablet?", "The price of the Mango tablet+ is 500 euros.", "", false)]
    [InlineData("What is the population of the US?", "The population is 4000.", "", false)]
    [InlineData("What was the rainfall in May?", "The rainfall in June was 30 mm.", "", false)]
    [InlineData("Who is the head of the IT department?", "The head of the IT department is Rolf Kahn.", "", true)]
    [InlineData("What is the height of the Alpha mast?", "Height of Alpha mast 2: 52 meters", "", false)]
    [InlineData("What is the rent of Garage?", "The rent of Garage 7 in Turin is 300 euros.", "", false)]
    [InlineData("铁的价格是多少？", "地铁的价格是2元。", "", false)]
    [InlineData("地铁的价格是多少？", "铁的价格是每吨3000元。", "", false)]
    [InlineData("自行车的速度是多少？", "行车的速度是20公里。", "", false)]
    [InlineData("将军的年龄是多少？", "军的年龄是45岁。", "", false)]
    [InlineData("吉他的价格是多少？", "吉他的价格是900元。", "", true)]
    [InlineData("和平公园的面积是多少？", "和平公园的面积是12公顷。", "", true)]
    [InlineData("平公园的面积是多少？", "和平公园的面积是12公顷。", "", false)]
    [InlineData("北京东路的长度是多少？", "东路北京的长度是3公里。", "", false)]
    public void Words_that_only_look_alike_are_not_the_same(string question, string sentence, string heading, bool answers) => Assert.Equal(answers, Agrees(question, sentence, heading));

    [Theory]
    [InlineData("How many cows are on the farm?", "There are 14 cows on the farm.", "", true)]
    [InlineData("How wide is the tower?", "The tower is 40 meters high and 12 meters wide.", "", true)]
    [InlineData("How high is the tower?", "The tower is 40 meters high and 12 meters wide.", "", true)]
    [InlineData("谁管理食堂？", "食堂由刘强管理。", "", true)]
    [InlineData("图书馆几点开门？", "图书馆每天9点开门。", "", true)]
    [InlineData("会议室可以容纳多少人？", "会议室可以容纳40人。", "", true)]
    [InlineData("谁建造了博物馆？", "博物馆在1925年由赵宁建造。", "", true)]
    [InlineData("龙井茶产自哪里？", "龙井茶产自杭州。", "", true)]
    public void Usual_orders_of_words_are_understood(string question, string sentence, string heading, bool answers) => Assert.Equal(answers, Agrees(question, sentence, heading));

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
    public void Synonyms_are_sets_and_anything_else_is_refused_with_its_line()
    {
        var synonyms = Synonyms.Parse(["# comment", "", "draught, depth # of a ship"], "file");
        Assert.True(SentenceAgreement.Agrees(AskedQuestion.Read("What is the depth of the tug?", synonyms), "The draught of the tug is 3 meters.", ""));
        Assert.False(SentenceAgreement.Agrees(AskedQuestion.Read("What is the depth of the tug?", Synonyms.None), "The draught of the tug is 3 meters.", ""));
        Assert.Contains("file, line 2: 'alone'", Assert.Throws<RagException>(() => Synonyms.Parse(["a, b", "alone"], "file")).Message, StringComparison.Ordinal);
        Assert.Contains("Rag:Search:Synonyms", Assert.Throws<RagException>(() => Synonyms.Load("/none")).Message, StringComparison.Ordinal);
    }

    private static bool Agrees(string question, string sentence, string heading = "") => SentenceAgreement.Agrees(AskedQuestion.Read(question, s_synonyms), sentence, heading);
}
