using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests;

/// <summary>System.Text.Json can read what the model writes: every type that it has a converter for, as a response and as a tool's
/// argument.</summary>
public sealed class DotNetTypesTests(EngineFixture fixture) : IClassFixture<EngineFixture>
{
    private const int Seeds = 4;
    private const int MaxTokens = 250;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string> Kinds => [.. Types.Keys];

    private static readonly Dictionary<string, Type> Types = new Type[]
    {
        typeof(Whole), typeof(Fractions), typeof(Times), typeof(Texts), typeof(Enums), typeof(Keys), typeof(Lists), typeof(Tree), typeof(Required), typeof(Shape), typeof(Holder), typeof(Open), typeof(Nodes), typeof(byte), typeof(uint),
        typeof(Half), typeof(decimal), typeof(char), typeof(DateTime), typeof(DateTimeOffset), typeof(DateOnly), typeof(TimeOnly), typeof(TimeSpan), typeof(Guid), typeof(Uri), typeof(Version), typeof(Sides), typeof(byte[]), typeof(short[]), typeof(int?), typeof(List<int>), typeof(Dictionary<string, int>),
    }.ToDictionary(type => type.Name);

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_finished_answer_is_of_its_type(string kind)
    {
        var method = typeof(DotNetTypesTests).GetMethod(nameof(Answer), System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.NonPublic)!.MakeGenericMethod(Types[kind]);
        using var client = fixture.Value.AsIChatClient();
        for (var seed = 0; seed < Seeds; seed++)
            await (Task)method.Invoke(null, [client, seed])!;
    }

    private static async Task Answer<T>(IChatClient client, int seed)
    {
        var response = await client.GetResponseAsync<T>("Name something.", new ChatOptions { Temperature = 1, Seed = seed, MaxOutputTokens = MaxTokens, Reasoning = new() { Effort = ReasoningEffort.None } }, cancellationToken: Token);
        Assert.True(response.FinishReason == ChatFinishReason.Length || response.TryGetResult(out _), response.Text);
    }

    [Theory]
    [MemberData(nameof(Functions))]
    public async Task A_call_has_arguments_of_the_types_of_its_method(string name)
    {
        var function = All[name];
        using var client = fixture.Value.AsIChatClient();
        for (var seed = 0; seed < Seeds; seed++)
        {
            var options = new ChatOptions { Temperature = 1, Seed = seed, MaxOutputTokens = MaxTokens, Tools = [function], ToolMode = ChatToolMode.RequireSpecific(name), Reasoning = new() { Effort = ReasoningEffort.None } };
            var response = await client.GetResponseAsync("Call it.", options, Token);
            if (response.FinishReason == ChatFinishReason.Length)
                continue;
            var call = Assert.Single(response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>());
            Assert.NotNull(await function.InvokeAsync(new(call.Arguments), Token));
        }
    }

    public static TheoryData<string> Functions => [.. All.Keys];

    private static readonly Dictionary<string, AIFunction> All = new AIFunction[]
    {
        AIFunctionFactory.Create((byte a, sbyte b, ushort c, uint d, ulong e) => $"{a}{b}{c}{d}{e}", "whole"),
        AIFunctionFactory.Create((DateTime a, DateTimeOffset b, DateOnly c, TimeOnly d, TimeSpan e) => $"{a}{b}{c}{d}{e}", "times"),
        AIFunctionFactory.Create((Half a, decimal b, char c, Guid d, Version e) => $"{a}{b}{c}{d}{e}", "others"),
        AIFunctionFactory.Create((Uri a, byte[] b, Sides c, DayOfWeek? d) => $"{a}{b}{c}{d}", "texts"),
        AIFunctionFactory.Create((Dictionary<int, short> a, List<TimeOnly> b) => $"{a}{b}", "lists"),
        AIFunctionFactory.Create((Shape a) => $"{a}", "shape"),
    }.ToDictionary(function => function.Name);

    [Flags]
    private enum Sides
    {
        Left = 1,
        Right = 2,
    }

    private sealed record Whole(byte A, sbyte B, short C, ushort D, int E, uint F, long G, ulong H, Int128 I, UInt128 J);

    private sealed record Fractions(Half A, float B, double C, decimal D, decimal? E);

    private sealed record Times(DateTime A, DateTimeOffset B, DateOnly C, TimeOnly D, TimeSpan E, TimeOnly? F);

    private sealed record Texts(char A, Guid B, Uri C, Version D, byte[] E, ReadOnlyMemory<byte> F);

    private sealed record Enums(DayOfWeek A, Sides B, Sides? C);

    private sealed record Keys(Dictionary<int, bool> A, Dictionary<Guid, bool> B, Dictionary<DayOfWeek, bool> C, Dictionary<DateTime, bool> D);

    private sealed record Lists(List<byte> A, HashSet<short> B, TimeOnly[] C, IReadOnlyDictionary<string, DateTimeOffset> D);

    private sealed record Tree(int Size, TimeOnly At, List<Tree>? Children);

    private sealed class Required
    {
        public required DateOnly Day { get; init; }

        public required char Letter { get; init; }
    }

    [JsonDerivedType(typeof(Circle), "circle")]
    [JsonDerivedType(typeof(Square), "square")]
    private class Shape
    {
        public TimeOnly At { get; set; }
    }

    private sealed class Circle : Shape
    {
        public float Radius { get; set; }
    }

    private sealed class Square : Shape
    {
        public ushort Side { get; set; }
    }

    private sealed record Holder(Shape One, Dictionary<string, Shape> Others);

    private sealed class Open
    {
        public sbyte A { get; set; }

        [JsonExtensionData]
        public Dictionary<string, JsonElement>? More { get; set; }
    }

    private sealed record Nodes(JsonElement A, JsonNode? B, JsonObject C, JsonArray D, JsonValue? E, object? F);
}
