using System.Text.Json;
using LocalLlm.Execution;
using LocalLlm.Models;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Models;

/// <summary>How hidden states become one vector: compared with the reference's hidden states. Everything else is refused.</summary>
public sealed class PoolingTests
{
    private const string Transformer = """{"type":"sentence_transformers.models.Transformer","path":""}""";
    private const string Pooling = """{"type":"sentence_transformers.models.Pooling","path":"1_Pooling"}""";
    private const string Normalize = """{"type":"sentence_transformers.models.Normalize","path":"2_Normalize"}""";
    private const string Cls = """{"word_embedding_dimension":64,"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false,"pooling_mode_max_tokens":false,"pooling_mode_lasttoken":false,"include_prompt":true}""";
    private const string Mean = """{"pooling_mode_mean_tokens":true}""";

    [Theory]
    [InlineData(Cls, false, false)]
    [InlineData(Cls, false, true)]
    [InlineData(Mean, true, false)]
    [InlineData(Mean, true, true)]
    [InlineData("""{"pooling_mode":"mean"}""", true, false)]
    [InlineData("""{"pooling_mode":"cls","pooling_mode_cls_token":true}""", false, true)]
    public void A_vector_is_what_the_configuration_makes_of_the_references_hidden_states_alone_and_in_a_batch(string config, bool isMean, bool normalizes)
    {
        var golden = TestPaths.Shared("goldens", "random", "xlm-roberta");
        using var folder = new TemporaryFolder();
        foreach (var file in (string[])["config.json", "model.safetensors"])
            File.Copy(Path.Combine(golden, file), folder[file]);
        Write(folder, $"[{Transformer},{Pooling}{(normalizes ? "," + Normalize : "")}]", config);
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(golden, "golden.json")));
        var cases = document.RootElement.GetProperty("cases").EnumerateArray().ToArray();
        using var worker = new EncoderExecutor(new() { ModelPath = folder.Path, Device = "cpu", Dtype = "float32" }, null, null, TestContext.Current.CancellationToken);
        var together = worker.Run([.. cases.Select(Ids)], [.. cases.Select(_ => EmbeddingKinds.Dense)], new HashSet<int>());
        var compared = 0;
        foreach (var (one, embedding) in cases.Zip(together))
        {
            if (Expected(one, isMean, normalizes) is not { } expected)
                continue;
            compared++;
            AssertClose(expected, embedding!);
            AssertClose(expected, worker.Run([Ids(one)], [EmbeddingKinds.Dense], new HashSet<int>())[0]!);
        }

        Assert.Equal(isMean ? 1 : cases.Length, compared);
    }

    [Theory]
    [InlineData("""{"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true}""", "pooling_mode_cls_token is true and pooling_mode_mean_tokens is true")]
    [InlineData("{}", "pooling_mode_cls_token is false and pooling_mode_mean_tokens is false")]
    [InlineData("""{"pooling_mode_max_tokens":true}""", "pooling_mode_max_tokens")]
    [InlineData("""{"pooling_mode_mean_tokens":true,"pooling_mode_max_tokens":true}""", "pooling_mode_max_tokens")]
    [InlineData("""{"pooling_mode_mean_sqrt_len_tokens":true}""", "pooling_mode_mean_sqrt_len_tokens")]
    [InlineData("""{"pooling_mode_weightedmean_tokens":true}""", "pooling_mode_weightedmean_tokens")]
    [InlineData("""{"pooling_mode_cls_token":true,"pooling_mode_lasttoken":true}""", "pooling_mode_lasttoken")]
    [InlineData("""{"pooling_mode_cls_token":true,"pooling_mode_of_tomorrow":true}""", "pooling_mode_of_tomorrow")]
    [InlineData("""{"pooling_mode":"max"}""", "pooling_mode: found 'max'")]
    [InlineData("""{"pooling_mode":"cls","pooling_mode_mean_tokens":true}""", "pooling_mode is cls")]
    [InlineData("""{"pooling_mode":["cls"]}""", "pooling_mode: found a list of 1")]
    [InlineData("""{"pooling_mode_cls_token":1}""", "pooling_mode_cls_token: found 1")]
    [InlineData("""{"pooling_mode_cls_token":"true"}""", "pooling_mode_cls_token: found 'true'")]
    [InlineData("""{"pooling_mode_cls_token":true,"pooling_mode_lasttoken":"no"}""", "pooling_mode_lasttoken: found 'no'")]
    [InlineData("""{"pooling_mode_cls_token":true,"pooling_mode_cls_token":false}""", "is not valid JSON")]
    [InlineData("""{"pooling_mode_cls_token":true,"word_embedding_dimension":65}""", "word_embedding_dimension: found 65, wanted 64")]
    [InlineData("""{"pooling_mode_cls_token":true,"word_embedding_dimension":"64"}""", "word_embedding_dimension: found '64'")]
    [InlineData("[]", "an object was wanted")]
    [InlineData("", "is empty")]
    [InlineData("{", "is not valid JSON")]
    [InlineData("""{"\ud800":true}""", "is not valid JSON")]
    public void Another_way_or_a_contradiction_is_refused_by_name(string config, string problem) => AssertRefused($"[{Transformer},{Pooling}]", config, "1_Pooling/config.json", problem);

    [Theory]
    [InlineData("{}", "wanted a list")]
    [InlineData("[]", "no module of type Pooling")]
    [InlineData("null", "wanted a list")]
    [InlineData("[", "is not valid JSON")]
    [InlineData("[1]", "'(none)' is not supported")]
    [InlineData("""[{"type":5}]""", "'(none)' is not supported")]
    [InlineData("""[{"type":"\ud800"}]""", "'(none)' is not supported")]
    [InlineData("""[{"\ud800":1,"type":"a.Pooling","path":"1_Pooling"}]""", "modules.json")]
    [InlineData($"[{Transformer},{Pooling},{Pooling}]", "stands twice or out of its order")]
    [InlineData($"[{Transformer},{Transformer},{Pooling}]", "stands twice or out of its order")]
    [InlineData($"[{Transformer},{Normalize},{Pooling}]", "stands twice or out of its order")]
    [InlineData($"[{Pooling},{Transformer}]", "stands twice or out of its order")]
    [InlineData($"[{Transformer},{Pooling},{Normalize},{Normalize}]", "stands twice or out of its order")]
    [InlineData($$"""[{{Transformer}},{{Pooling}},{"type":"sentence_transformers.models.Dense","path":"2_Dense"}]""", "models.Dense' is not supported")]
    [InlineData("""[{"type":"a.Pooling"}]""", "the path of Pooling is '(none)'")]
    [InlineData("""[{"type":"a.Pooling","path":""}]""", "the path of Pooling is ''")]
    [InlineData("""[{"type":"a.Pooling","path":"."}]""", "the path of Pooling is '.'")]
    [InlineData("""[{"type":"a.Pooling","path":".."}]""", "the path of Pooling is '..'")]
    [InlineData("""[{"type":"a.Pooling","path":"../1_Pooling"}]""", "the path of Pooling is")]
    [InlineData("""[{"type":"a.Pooling","path":"/etc"}]""", "the path of Pooling is")]
    [InlineData("""[{"type":"a.Pooling","path":"a\\b"}]""", "the path of Pooling is")]
    [InlineData("""[{"type":"a.Pooling","path":"a\u0000b"}]""", "the path of Pooling is")]
    [InlineData("""[{"type":"a.Pooling","path":"a","path":"b"}]""", "is not valid JSON")]
    [InlineData("""[{"type":"a.Pooling","path":"missing"}]""", "missing/config.json: is missing")]
    public void A_list_of_modules_that_makes_no_sense_is_refused(string modules, string problem) => AssertRefused(modules, Cls, "", problem);

    [Fact]
    public void Files_are_not_read_beyond_a_limit_and_nothing_but_files_is()
    {
        AssertRefused($"[{Transformer},{Pooling}]{new string(' ', 1 << 20)}", Cls, "modules.json", "at most 1,048,576");
        AssertRefused($"[{Transformer},{Pooling}]", Cls + new string(' ', 1 << 20), "1_Pooling/config.json", "at most 1,048,576");
        AssertRefused($"[{string.Join(',', Enumerable.Repeat(Transformer, 17))}]", Cls, "modules.json", "at most 16 modules");
        AssertRefused($"[{Transformer},{Pooling},{new string('[', 100)}{new string(']', 100)}]", Cls, "modules.json", "is not valid JSON");
        using var folder = new TemporaryFolder();
        Assert.Contains("modules.json: is missing", Assert.Throws<EngineException>(() => PoolingConfig.Load(folder.Path, 64)).Message, StringComparison.Ordinal);
        Directory.CreateDirectory(folder["modules.json"]);
        Assert.Contains("or is not a file", Assert.Throws<EngineException>(() => PoolingConfig.Load(folder.Path, 64)).Message, StringComparison.Ordinal);
    }

    private static void AssertRefused(string modules, string config, string file, string problem)
    {
        using var folder = new TemporaryFolder();
        Write(folder, modules, config);
        var refusal = Assert.Throws<EngineException>(() => PoolingConfig.Load(folder.Path, 64));
        Assert.Equal(EngineErrorKind.ModelFolder, refusal.Kind);
        Assert.StartsWith(file, refusal.Message, StringComparison.Ordinal);
        Assert.Contains(problem, refusal.Message, StringComparison.Ordinal);
        Assert.True(refusal.Message.Length < 1000, refusal.Message);
        Assert.DoesNotContain(folder.Path, refusal.Message, StringComparison.Ordinal);
    }

    private static void Write(TemporaryFolder folder, string modules, string config)
    {
        folder.Write("modules.json", modules);
        Directory.CreateDirectory(folder["1_Pooling"]);
        folder.Write("1_Pooling/config.json", config);
    }

    // The reference has the first token's hidden state for every case, and all hidden states for one case.
    private static double[]? Expected(JsonElement one, bool isMean, bool normalizes)
    {
        var cls = one.GetProperty("cls").EnumerateArray().Select(value => value.GetDouble()).ToArray();
        double[] pooled = cls;
        if (isMean)
        {
            if (!one.TryGetProperty("last_hidden_state", out var states))
                return null;
            var values = states.EnumerateArray().Select(value => value.GetDouble()).ToArray();
            pooled = [.. Enumerable.Range(0, cls.Length).Select(column => values.Where((_, index) => index % cls.Length == column).Average())];
        }

        var length = Math.Sqrt(pooled.Sum(value => value * value));
        return normalizes ? [.. pooled.Select(value => value / length)] : pooled;
    }

    private static void AssertClose(double[] expected, TextEmbedding embedding)
    {
        Assert.Equal(expected.Length, embedding.Dense!.Count);
        Assert.True(expected.Zip(embedding.Dense).Max(pair => Math.Abs(pair.First - pair.Second)) < 1e-4);
    }

    private static int[] Ids(JsonElement one) => [.. one.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
}
