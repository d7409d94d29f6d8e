using System.Text;

namespace LocalLlm.Server.Tests.Http;

/// <summary>A request that the server must refuse, and the expected error.</summary>
/// <param name="Name">What is wrong with it.</param>
/// <param name="Path">The route that it is sent to.</param>
/// <param name="Body">The body, sent unchanged.</param>
/// <param name="Status">The expected status.</param>
/// <param name="Param">The expected <c>param</c>.</param>
/// <param name="Code">The expected <c>code</c>.</param>
internal sealed record HostileInput(string Name, string Path, string Body, int Status, string? Param, string? Code)
{
    public string ContentType { get; init; } = "application/json";
}

/// <summary>Bodies that are malformed, out of range or too large, or that ask for what the server does not support.</summary>
internal static class HostileInputs
{
    private const string Chat = "/v1/chat/completions";
    private const string Text = "/v1/completions";
    private const string Unsupported = "unsupported_parameter";
    private const string TooLong = "context_length_exceeded";
    private const string Messages = """ "messages":[{"role":"user","content":"Hi"}] """;
    private const string Prompt = """ "prompt":"Hi" """;
    private const string Tool = """{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}""";

    public static IReadOnlyList<HostileInput> All { get; } = [.. Forms(), .. Members(), .. Numbers(), .. ChatFields(), .. ToolFields(), .. Structures(), .. TextFields(), .. Others(), .. Sizes()];

    private static HostileInput Of(string name, string path, string body, string? param, string? code = null, int status = 400) => new(name, path, body, status, param, code);

    private static HostileInput OfChat(string member, string? param, string? code = null, int status = 400) => Of("chat " + Cut(member), Chat, $"{{{Messages},{member}}}", param, code, status);

    private static HostileInput OfText(string member, string? param, string? code = null, int status = 400) => Of("text " + Cut(member), Text, $"{{{Prompt},{member}}}", param, code, status);

    private static string Cut(string text) => text.Length <= 60 ? text : $"{text[..60]}… ({text.Length})";

    private static IEnumerable<HostileInput> Forms()
    {
        foreach (var path in (string[])[Chat, Text, "/v1/embeddings", "/rerank", "/score", "/tokenize", "/detokenize"])
        {
            foreach (var (name, body) in ((string, string)[])
            [
                ("nothing", ""), ("white space", " \r\n\t"), ("an open brace", "{"), ("a list", "[]"), ("null", "null"), ("a number", "7"), ("a text", "\"a\""), ("true", "true"),
                ("a comment", "{/* a */}"), ("a trailing comma", "{\"a\":1,}"), ("two objects", "{}{}"), ("single quotes", "{'a':1}"), ("NaN", "{\"a\":NaN}"), ("a bare word", "{a:1}"), ("a NUL", "{\"a\":\"b\"}\0"),
            ])
            {
                yield return Of($"{name} as the body of {path}", path, body, null);
            }
        }

        yield return Of("100,000 brackets", Chat, new string('[', 100_000), null);
        yield return Of("65 levels", Chat, $"{{{Messages},\"metadata\":{string.Concat(Enumerable.Repeat("{\"a\":", 65))}1{new string('}', 66)}", null);
        yield return Of("a body in UTF-16", Chat, "{}", "Content-Type", null, 415) with { ContentType = "application/json; charset=utf-16" };
        yield return Of("a form", Chat, "a=1", "Content-Type", null, 415) with { ContentType = "application/x-www-form-urlencoded" };
        yield return Of("plain text", Chat, "{}", "Content-Type", null, 415) with { ContentType = "text/plain" };
        yield return Of("no type", Chat, "{}", "Content-Type", null, 415) with { ContentType = "" };
        yield return Of("a malformed type", Chat, "{}", "Content-Type", null, 415) with { ContentType = ";;;" };
    }

    private static IEnumerable<HostileInput> Members()
    {
        yield return Of("a member twice", Chat, $"{{{Messages},{Messages}}}", "messages");
        yield return OfChat("\"temperature\":1,\"temperature\":0", "temperature");
        yield return OfChat("\"metadata\":{\"a\":{\"b\":1,\"b\":2}}", "metadata.a.b");
        yield return Of("a role twice", Chat, """{"messages":[{"role":"user","content":"a","role":"system"}]}""", "messages[0].role");
        yield return Of("half of a pair in a text", Chat, """{"messages":[{"role":"user","content":"\ud800"}]}""", "messages[0].content");
        yield return Of("half of a pair in a name", Chat, """{"\udc00":1}""", null);
        yield return Of("half of a pair in a prompt", Text, """{"prompt":"a\udfffb"}""", "prompt");
        yield return Of("half of a pair in a stop string", Text, """{"prompt":"a","stop":["\ud800"]}""", "stop[0]");
    }

    private static IEnumerable<HostileInput> Numbers()
    {
        foreach (var (field, values) in ((string, string[])[])
        [
            ("temperature", ["-0.1", "2.1", "1e39", "1e400", "\"1\"", "true", "[1]", "{}"]),
            ("top_p", ["0", "-1", "1.01", "\"1\"", "1e400"]),
            ("top_k", ["-2", "1.5", "1e30", "\"5\"", "9223372036854775807"]),
            ("min_p", ["-0.1", "1.1", "\"0\""]),
            ("presence_penalty", ["-2.1", "2.1", "1e309", "\"0\""]),
            ("frequency_penalty", ["-3", "3", "[]"]),
            ("repetition_penalty", ["0", "-1", "1e400", "\"1\""]),
            ("n", ["0", "-1", "129", "16385", "1e9", "2147483648", "1.5", "\"1\"", "true"]),
            ("seed", ["1.5", "\"1\"", "9223372036854775808", "1e30"]),
            ("max_tokens", ["-1", "1.5", "\"1\"", "99999999999", "1e400"]),
            ("min_tokens", ["-1", "1.5", "\"1\""]),
            ("logit_bias", ["[]", "1", "{\"a\":1}", "{\"1\":\"x\"}", "{\"1\":1e400}", "{\"-1\":1}", "{\"99999999\":1}"]),
            ("stop", ["1", "{}", "[1]", "[null]", "\"\"", "[\"\"]"]),
            ("stop_token_ids", ["1", "[\"a\"]", "[1.5]", "[-1]", "[99999999]"]),
            ("allowed_token_ids", ["[]", "[99999999]", "\"a\""]),
            ("bad_words", ["[\"\"]", "[1]", "\"a\""]),
            ("ignore_eos", ["1", "\"true\""]),
            ("skip_special_tokens", ["0"]),
            ("thinking_token_budget", ["-2", "1.5", "true"]),
        ])
        {
            foreach (var value in values)
                yield return OfText($"\"{field}\":{value}", field);
        }

        yield return OfText($"\"stop\":[{string.Join(',', Enumerable.Repeat("\"a\"", 65))}]", "stop");
        yield return OfText("\"temperature\":0,\"n\":2", "n");
        yield return OfText("\"max_tokens\":3,\"min_tokens\":4", "min_tokens");
        yield return OfText("\"max_tokens\":100000", "prompt", TooLong);
        yield return OfChat("\"max_completion_tokens\":2048", "messages", TooLong);
    }

    private static IEnumerable<HostileInput> ChatFields()
    {
        foreach (var (body, param) in ((string, string)[])
        [
            ("{}", "messages"), ("""{"messages":null}""", "messages"), ("""{"messages":[]}""", "messages"), ("""{"messages":{}}""", "messages"), ("""{"messages":"Hi"}""", "messages"), ("""{"messages":[null]}""", "messages[0]"),
            ("""{"messages":["Hi"]}""", "messages[0]"), ("""{"messages":[[]]}""", "messages[0]"), ("""{"messages":[{}]}""", "messages[0].role"), ("""{"messages":[{"role":"user"}]}""", "messages[0].content"),
            ("""{"messages":[{"role":"alien","content":"a"}]}""", "messages[0].role"), ("""{"messages":[{"role":1,"content":"a"}]}""", "messages[0].role"), ("""{"messages":[{"role":"user","content":1}]}""", "messages[0].content"),
            ("""{"messages":[{"role":"user","content":{}}]}""", "messages[0].content"), ("""{"messages":[{"role":"user","content":[1]}]}""", "messages[0].content[0]"), ("""{"messages":[{"role":"user","content":[{"type":"text"}]}]}""", "messages[0].content[0].text"),
            ("""{"messages":[{"role":"user","content":[{"type":"text","text":1}]}]}""", "messages[0].content[0].text"), ("""{"messages":[{"role":"user","content":[{"type":"poem","text":"a"}]}]}""", "messages[0].content[0].type"),
            ("""{"messages":[{"role":"user","content":"a","name":1}]}""", "messages[0].name"), ("""{"messages":[{"role":"user","content":"a"},{"role":"tool","content":"a","tool_call_id":true}]}""", "messages[1].tool_call_id"),
            ("""{"messages":[{"role":"assistant","tool_calls":1}]}""", "messages[0].tool_calls"), ("""{"messages":[{"role":"assistant","tool_calls":["f"]}]}""", "messages[0].tool_calls[0]"),
        ])
        {
            yield return Of("messages " + Cut(body), Chat, body, param);
        }

        foreach (var part in (string[])["image_url", "input_audio", "file", "video_url"])
            yield return Of("a part that is " + part, Chat, $$"""{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"{{part}}"}]}]}""", "messages[0].content[1].type", Unsupported);
        foreach (var field in (string[])["functions", "function_call", "audio", "prediction", "web_search_options", "chat_template", "guided_whitespace_pattern", "guided_future_kind", "use_beam_search", "prompt_embeds", "lora_request", "truncate_prompt_tokens", "best_of", "logits_processors"])
            yield return OfChat($"\"{field}\":{(field is "use_beam_search" ? "true" : "[1]")}", field, Unsupported);
        yield return OfChat("\"modalities\":[\"text\",\"audio\"]", "modalities", Unsupported);
        yield return OfChat("\"priority\":1", "priority", Unsupported);
        yield return OfChat("\"echo\":true", "echo", Unsupported);
        yield return OfChat("\"logprobs\":5", "logprobs");
        yield return OfChat("\"top_logprobs\":5", "top_logprobs");
        yield return OfChat("\"logprobs\":true,\"top_logprobs\":21", "top_logprobs");
        yield return OfChat("\"return_prompt_text\":true", "return_prompt_text", Unsupported);
        yield return OfChat("\"n\":128,\"temperature\":1,\"logprobs\":true,\"top_logprobs\":20", "logprobs");
        yield return OfChat("\"response_format\":{\"type\":\"structural_tag\"}", "response_format", Unsupported);
        yield return OfChat($"\"tools\":[{Tool}],\"tool_choice\":{{\"type\":\"allowed_tools\"}}", "tool_choice", Unsupported);
        yield return OfChat("\"stream\":\"yes\"", "stream");
        yield return OfChat("\"stream_options\":{}", "stream_options");
        yield return OfChat("\"stream\":true,\"stream_options\":[]", "stream_options");
        yield return OfChat("\"stream\":true,\"stream_options\":{\"include_usage\":1}", "stream_options.include_usage");
        yield return OfChat("\"stream\":true,\"prompt_logprobs\":1", "prompt_logprobs");
        yield return OfChat("\"reasoning_effort\":\"enormous\"", "reasoning_effort");
        yield return OfChat("\"reasoning_effort\":3", "reasoning_effort");
        yield return OfChat("\"thinking\":\"disabled\"", "thinking");
        yield return OfChat("\"thinking\":{}", "thinking.type");
        yield return OfChat("\"thinking\":{\"type\":\"sometimes\"}", "thinking.type");
        yield return OfChat("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":\"many\"}", "thinking.budget_tokens");
        yield return OfChat("\"thinking\":{\"type\":\"disabled\",\"budget_tokens\":5}", "thinking.budget_tokens");
        yield return OfChat("\"thinking\":{\"type\":\"disabled\"},\"reasoning_effort\":\"high\"", "thinking");
        yield return OfChat("\"enable_thinking\":1", "enable_thinking");
        yield return OfChat("\"guided_json\":[1]", "guided_json");
        yield return OfChat("\"guided_json\":\"not a schema\"", "guided_json");
        yield return OfChat("\"guided_choice\":\"yes\"", "guided_choice");
        yield return OfChat("\"guided_choice\":[]", "guided_choice");
        yield return OfChat("\"guided_regex\":5", "guided_regex");
        yield return OfChat("\"guided_regex\":\"(\"", "guided_regex");
        yield return OfChat("\"guided_grammar\":\"root ::= (\"", "guided_grammar");
        yield return OfChat("\"guided_regex\":\"a\",\"guided_choice\":[\"a\"]", "guided_regex");
        yield return OfChat("\"guided_regex\":\"a\",\"response_format\":{\"type\":\"json_object\"}", "guided_regex");
        yield return OfChat("\"guided_decoding_backend\":\"mine\"", "guided_decoding_backend");
        yield return OfChat("\"guided_decoding_backend\":\"xgrammar:disable-any-whitespace\"", "guided_decoding_backend");
        yield return OfChat("\"include_reasoning\":1", "include_reasoning");
        yield return OfChat("\"add_generation_prompt\":true,\"continue_final_message\":true", "continue_final_message");
        yield return OfChat("\"add_special_tokens\":true", "add_special_tokens");
        yield return OfChat("\"chat_template_kwargs\":1", "chat_template_kwargs");
        yield return OfChat("\"chat_template_kwargs\":{\"messages\":[]}", "chat_template_kwargs");
        yield return OfChat("\"chat_template_kwargs\":{\"bos_token\":\"x\"}", "chat_template_kwargs");
        yield return OfChat("\"documents\":1", "documents");
        yield return OfChat("\"cache_salt\":\"\"", "cache_salt");
        yield return OfChat($"\"cache_salt\":\"{new string('a', 129)}\"", "cache_salt");
        yield return OfChat("\"cache_salt\":\"a/b\"", "cache_salt");
        yield return OfChat("\"model\":\"gpt-4\"", "model", "model_not_found", 404);
        yield return OfChat("\"model\":\"TINY-R1\"", "model", "model_not_found", 404);
        yield return OfChat("\"model\":1", "model");
        yield return OfChat("\"detokenize\":false", "detokenize", Unsupported);
    }

    private static IEnumerable<HostileInput> ToolFields()
    {
        foreach (var (tools, param) in ((string, string)[])
        [
            ("{}", "tools"), ("\"f\"", "tools"), ("[null]", "tools[0].type"), ("[1]", "tools[0].type"), ("[{}]", "tools[0].type"), ("""[{"type":"retrieval"}]""", "tools[0].type"), ("""[{"type":"function"}]""", "tools[0].function"),
            ("""[{"type":"function","function":{}}]""", "tools[0].function.name"), ("""[{"type":"function","function":{"name":""}}]""", "tools[0].function.name"), ("""[{"type":"function","function":{"name":"a b"}}]""", "tools[0].function.name"),
            ("""[{"type":"function","function":{"name":1}}]""", "tools[0].function.name"), ("""[{"type":"function","function":{"name":"f","parameters":1}}]""", "tools[0].function.parameters"),
            ("""[{"type":"function","function":{"name":"f","strict":1}}]""", "tools[0].function.strict"), ($"[{Tool},{Tool}]", "tools[1].function.name"), ($"[{string.Join(',', Enumerable.Range(0, 129).Select(_ => Tool))}]", "tools"),
        ])
        {
            yield return OfChat($"\"tools\":{tools}", param);
        }

        yield return OfChat("\"tool_choice\":\"required\"", "tool_choice");
        yield return OfChat("\"tools\":[],\"tool_choice\":\"required\"", "tool_choice");
        yield return OfChat("\"tools\":[],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}", "tool_choice");
        foreach (var choice in (string[])["\"sometimes\"", "1", "{}", """{"type":"function"}""", """{"type":"function","function":{"name":"g"}}"""])
            yield return OfChat($"\"tools\":[{Tool}],\"tool_choice\":{choice}", "tool_choice");
        yield return OfChat($"\"tools\":[{Tool}],\"parallel_tool_calls\":1", "parallel_tool_calls");
        yield return OfChat("""
            "tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{"a":{"type":"string","pattern":"("}}}}}]
            """.Trim(), "tools");
        yield return OfChat("""
            "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"something"}}}],"tool_choice":"required"
            """.Trim(), "tools");
    }

    private static IEnumerable<HostileInput> Structures()
    {
        foreach (var format in (string[])["1", "\"json\"", "{}", """{"type":"xml"}"""])
            yield return OfChat($"\"response_format\":{format}", "response_format");
        yield return OfChat("""
            "response_format":{"type":"json_schema"}
            """.Trim(), "response_format.json_schema");
        yield return OfChat("""
            "response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"something"}}}
            """.Trim(), "response_format");
        foreach (var structure in (string[])["""{"json":{"type":"something"}}""", """{"json":{"type":"string","pattern":"("}}""", """{"regex":"("}""", """{"regex":"\\bword"}""", """{"regex":"a(?=b)"}""", """{"grammar":"root ::= ("}""", """{"choice":[]}""", """{"json":{"$ref":"#/a"}}""", "{}", """{"json":{},"regex":"a"}"""])
            yield return OfText($"\"structured_outputs\":{structure}", "structured_outputs");
    }

    private static IEnumerable<HostileInput> TextFields()
    {
        foreach (var prompt in (string[])["null", "1", "{}", "[]", "[[]]", "[1,\"a\"]", "[\"a\",1]", "[[1],\"a\"]", "[null]", "[1.5]", "[1e30]", "[true]", "\"\""])
            yield return Of("prompt " + prompt, Text, $"{{\"prompt\":{prompt}}}", "prompt");
        yield return Of("no prompt", Text, "{}", "prompt");
        yield return Of("a token beyond the vocabulary", Text, "{\"prompt\":[99999999]}", "prompt_token_ids");
        yield return Of("a negative token", Text, "{\"prompt\":[-1]}", "prompt_token_ids");
        yield return Of("257 prompts", Text, $"{{\"prompt\":[{string.Join(',', Enumerable.Repeat("\"a\"", 257))}]}}", "prompt");
        yield return Of("a prompt beyond the context", Text, $"{{\"prompt\":[{string.Join(',', Enumerable.Repeat("5", 2048))}]}}", "prompt", TooLong);
        yield return OfText("\"max_tokens\":0", "max_tokens");
        yield return OfText("\"logprobs\":true", "logprobs");
        yield return OfText("\"logprobs\":21", "logprobs");
        yield return OfText("\"logprobs\":-2", "logprobs");
        yield return OfText("\"prompt_logprobs\":21", "prompt_logprobs");
        yield return OfText("\"suffix\":\"a\"", "suffix", Unsupported);
        yield return OfText("\"best_of\":3", "best_of", Unsupported);
        yield return OfText("\"echo\":1", "echo");
        yield return OfText("\"model\":[]", "model");
        yield return OfText("\"stream_options\":{\"include_usage\":true}", "stream_options");
    }

    private static IEnumerable<HostileInput> Others()
    {
        yield return Of("embeddings of a model that makes none", "/v1/embeddings", """{"input":"a"}""", "model", "model_not_supported");
        yield return Of("embeddings of another model", "/v1/embeddings", """{"input":"a","model":"x"}""", "model", "model_not_found", 404);
        yield return Of("a ranking by a model that makes none", "/rerank", """{"query":"a","documents":["b"]}""", "model", "model_not_supported");
        yield return Of("scores of a model that makes none", "/score", """{"text_1":"a","text_2":"b"}""", "model", "model_not_supported");
        yield return Of("nothing to embed", "/v1/embeddings", "{}", "input");
        yield return Of("a number to embed", "/v1/embeddings", """{"input":5}""", "input");
        yield return Of("embeddings of a model that is no text", "/v1/embeddings", """{"input":"a","model":5}""", "model");
        yield return Of("embeddings in a format of the caller's", "/v1/embeddings", """{"input":"a","encoding_format":"hex"}""", "encoding_format");
        yield return Of("more choices than the server holds", Text, $"{{\"prompt\":[{string.Join(',', Enumerable.Repeat("\"a\"", 256))}],\"n\":8,\"temperature\":1}}", "prompt");
        yield return Of("embeddings as a prompt", Text, """{"prompt_embeds":"AAAA"}""", "prompt_embeds", Unsupported);
        yield return Of("a chat to tokenize with special tokens of its own", "/tokenize", $"{{{Messages},\"add_special_tokens\":true}}", "add_special_tokens");
        yield return Of("too many tokens to detokenize", "/detokenize", $"{{\"tokens\":[{string.Join(',', Enumerable.Repeat("5", (8 * 2048) + 1))}]}}", "tokens");
        yield return Of("nothing to tokenize", "/tokenize", "{}", "prompt");
        yield return Of("two things to tokenize", "/tokenize", $"{{{Prompt},{Messages}}}", "prompt");
        yield return Of("a number to tokenize", "/tokenize", """{"prompt":1}""", "prompt");
        yield return Of("a template of the caller's", "/tokenize", $"{{{Messages},\"chat_template\":\"x\"}}", "chat_template", Unsupported);
        yield return Of("nothing to detokenize", "/detokenize", "{}", "tokens");
        yield return Of("a foreign token to detokenize", "/detokenize", """{"tokens":[99999999]}""", "tokens");
        yield return Of("a text to detokenize", "/detokenize", """{"tokens":["a"]}""", "tokens");
        yield return Of("an unknown route", "/v1/responses", "{}", null, "unknown_url", 404);
        yield return Of("an old route", "/v1/engines/x/completions", "{}", null, "unknown_url", 404);
        yield return Of("a route of the file system", "/../../etc/passwd", "{}", null, "unknown_url", 404);
        yield return Of("the wrong method", "/v1/models", "{}", null, "method_not_allowed", 405);
        yield return Of("the wrong method of an open route", "/health", "{}", null, "method_not_allowed", 405);
    }

    private static IEnumerable<HostileInput> Sizes()
    {
        yield return Of("a body of 9 MiB", Chat, $"{{\"messages\":[{{\"role\":\"user\",\"content\":\"{new string('a', 9 << 20)}\"}}]}}", null, "request_too_large", 413);
        foreach (var text in (string[])["x", "_", " ", "中", "😀"])
        {
            var megabyte = string.Concat(Enumerable.Repeat(text, (1 << 20) / Encoding.UTF8.GetByteCount(text)));
            yield return Of($"a megabyte of '{text}'", Text, $"{{\"prompt\":\"{megabyte}\"}}", "prompt", TooLong);
        }

        yield return Of("4,097 messages", Chat, $"{{\"messages\":[{string.Join(',', Enumerable.Repeat("""{"role":"user","content":"a"}""", 4097))}]}}", "messages");
        yield return Of("a million members", Chat, $"{{{string.Join(',', Enumerable.Range(0, 200_000).Select(i => $"\"m{i}\":1"))}}}", "messages");
        yield return Of("a long name", Chat, $"{{{Messages},\"{new string('a', 1 << 20)}\":1,\"temperature\":9}}", "temperature");
    }
}
