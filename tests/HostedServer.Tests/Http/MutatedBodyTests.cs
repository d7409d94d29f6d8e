using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using LocalLlm.Server.Tests.Serving;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Server.Tests.Http;

/// <summary>Valid bodies with bytes, types and ranges changed at random. <c>LOCALLLM_HTTP_MUTATIONS</c> sets their number.</summary>
public sealed class MutatedBodyTests
{
    private const int Clients = 8;

    private static readonly (string Path, string Body)[] Seeds =
    [
        ("/v1/chat/completions", """{"model":"tiny-r1","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Hi"}]}],"max_tokens":2,"temperature":0.7,"top_p":0.9,"stop":["a","b"],"n":1,"seed":5}"""),
        ("/v1/chat/completions", """{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"1"}],"max_tokens":2,"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}],"tool_choice":"auto"}"""),
        ("/v1/chat/completions", """{"messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":2,"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"a":{"type":"integer","minimum":3}},"required":["a"]}}},"stream":true,"stream_options":{"include_usage":true}}"""),
        ("/v1/completions", """{"prompt":["Once upon","a"],"max_tokens":2,"logprobs":2,"echo":true,"logit_bias":{"5":1.5},"presence_penalty":0.5,"min_p":0.1,"stop_token_ids":[1,2],"bad_words":["x"]}"""),
        ("/v1/completions", """{"prompt":[5,6,7],"max_tokens":2,"structured_outputs":{"regex":"[a-c]{2,5}"},"stream":true,"cache_salt":"s","thinking_token_budget":1}"""),
        ("/tokenize", """{"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":true,"chat_template_kwargs":{"a":1}}"""),
        ("/detokenize", """{"tokens":[5,6,7]}"""),
        ("/v1/rerank", """{"query":"a","documents":["a",{"text":"b"}],"top_n":1,"return_documents":false,"weights":{"dense":1,"sparse":0.5,"multi_vector":0},"model":"tiny-m3"}"""),
        ("/score", """{"text_1":["a"],"text_2":["a","b"],"weights":{"dense":0.1}}"""),
        ("/v1/embeddings", """{"input":["a","b"],"model":"tiny-r1","encoding_format":"base64"}"""),
    ];

    [Fact]
    public async Task None_is_answered_with_a_failure_of_the_server()
    {
        var count = int.TryParse(Environment.GetEnvironmentVariable("LOCALLLM_HTTP_MUTATIONS"), CultureInfo.InvariantCulture, out var asked) ? asked : 3000;
        await using var server = new TestServer(null, engine => engine with { MaxModelLen = 96 }, embeddingModel: TestPaths.TinyM3);
        await server.InitializeAsync();
        var answered = 0;
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(client => Task.Run(async () =>
        {
            var random = new Random(client);
            var mutator = new Mutator(client);
            for (var i = client; i < count; i += Clients)
            {
                var (path, seed) = Seeds[random.Next(Seeds.Length)];
                var body = random.Next(3) == 0 ? mutator.Mutate(Encoding.UTF8.GetBytes(seed)) : Values(seed, random);
                using var content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
                using var response = await server.Client.PostAsync(new Uri(path, UriKind.Relative), content, TestContext.Current.CancellationToken);
                var text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
                Assert.True((int)response.StatusCode < 500, $"{path} {Encoding.UTF8.GetString(body)}: {(int)response.StatusCode} {text}");
                Assert.DoesNotContain("Exception", text, StringComparison.Ordinal);
                if (response.IsSuccessStatusCode)
                    Interlocked.Increment(ref answered);
            }
        })));
        // Many bodies must still be valid; otherwise only the parser was tested.
        Assert.True(answered > count / 20, $"{answered} of {count} were answered");
        await server.AskAsync("/v1/completions", """{"prompt":"a","max_tokens":1}""");
        Assert.Equal(server.Engine.Statistics.KvBlocksTotal, server.Engine.Statistics.KvBlocksFree);
    }

    // Replaces member values and array items by other values.
    private static byte[] Values(string seed, Random random)
    {
        string[] others = ["null", "true", "-1", "0", "1", "1e400", "1e-400", "99999999999999999999", "\"\"", "\"a\"", "\"\\u0000\"", "\"\\ud83d\\ude00\"", "[]", "{}", "[[]]", "{\"a\":[]}", "[null]", "0.5", "-0", "\"none\"", "\"</think>\"", "\"<|endoftext|>\""];
        using var document = System.Text.Json.JsonDocument.Parse(seed);
        var texts = new List<string>();
        Collect(document.RootElement, texts);
        var result = seed;
        for (var changes = random.Next(1, 3); changes > 0; changes--)
        {
            var target = texts[random.Next(texts.Count)];
            var at = result.IndexOf(target, StringComparison.Ordinal);
            if (at >= 0)
                result = string.Concat(result.AsSpan(0, at), others[random.Next(others.Length)], result.AsSpan(at + target.Length));
        }

        return Encoding.UTF8.GetBytes(result);
    }

    private static void Collect(System.Text.Json.JsonElement element, List<string> texts)
    {
        if (element.ValueKind == System.Text.Json.JsonValueKind.Object)
        {
            foreach (var member in element.EnumerateObject())
            {
                texts.Add(member.Value.GetRawText());
                Collect(member.Value, texts);
            }
        }
        else if (element.ValueKind == System.Text.Json.JsonValueKind.Array)
        {
            foreach (var item in element.EnumerateArray())
            {
                texts.Add(item.GetRawText());
                Collect(item, texts);
            }
        }
    }
}
