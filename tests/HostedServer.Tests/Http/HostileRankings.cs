namespace LocalLlm.Server.Tests.Http;

/// <summary>
/// Bodies of <c>/rerank</c>, <c>/score</c> and <c>/v1/embeddings</c> that are malformed, out of range or too large, or that ask for what
/// the server does not support.
/// </summary>
internal static class HostileRankings
{
    private const string Rerank = "/rerank";
    private const string Score = "/score";
    private const string Embeddings = "/v1/embeddings";
    private const string Unsupported = "unsupported_parameter";
    private const string TooLong = "context_length_exceeded";

    public static IReadOnlyList<HostileInput> All { get; } = [.. Rankings(), .. Weights(), .. Scores(), .. Inputs(), .. Common(), .. Sizes()];

    private static HostileInput Of(string path, string body, string? param, string? code = null, int status = 400) =>
        new($"{path} {(body.Length <= 80 ? body : $"{body[..80]}… ({body.Length})")}", path, body, status, param, code);

    private static IEnumerable<HostileInput> Rankings()
    {
        foreach (var (body, param) in ((string, string)[])
        [
            ("{}", "query"), ("""{"query":"a"}""", "documents"), ("""{"documents":["a"]}""", "query"), ("""{"query":null,"documents":["a"]}""", "query"), ("""{"query":"a","documents":null}""", "documents"),
            ("""{"query":1,"documents":["a"]}""", "query"), ("""{"query":["a"],"documents":["a"]}""", "query"), ("""{"query":{"text":"a"},"documents":["a"]}""", "query"), ("""{"query":true,"documents":["a"]}""", "query"),
            ("""{"query":"a","documents":[]}""", "documents"), ("""{"query":"a","documents":"a"}""", "documents"), ("""{"query":"a","documents":{"text":"a"}}""", "documents"), ("""{"query":"a","documents":5}""", "documents"),
            ("""{"query":"a","documents":[1]}""", "documents[0]"), ("""{"query":"a","documents":["a",null]}""", "documents[1]"), ("""{"query":"a","documents":["a",["b"]]}""", "documents[1]"), ("""{"query":"a","documents":["a",true]}""", "documents[1]"),
            ("""{"query":"a","documents":[{}]}""", "documents[0].text"), ("""{"query":"a","documents":["a",{"text":1}]}""", "documents[1].text"), ("""{"query":"a","documents":[{"text":null}]}""", "documents[0].text"),
            ("""{"query":"a","documents":[{"title":"a"}]}""", "documents[0].text"), ("""{"query":"a","documents":["a"],"top_n":-1}""", "top_n"), ("""{"query":"a","documents":["a"],"top_n":1.5}""", "top_n"),
            ("""{"query":"a","documents":["a"],"top_n":"1"}""", "top_n"), ("""{"query":"a","documents":["a"],"top_n":2147483648}""", "top_n"), ("""{"query":"a","documents":["a"],"top_n":1e400}""", "top_n"), ("""{"query":"a","documents":["a"],"top_n":[]}""", "top_n"),
            ("""{"query":"a","documents":["a"],"return_documents":1}""", "return_documents"), ("""{"query":"a","documents":["a"],"return_documents":"no"}""", "return_documents"), ("""{"query":"a","documents":["a"],"model":[]}""", "model"),
            ("""{"query":"a","query":"b","documents":["a"]}""", "query"), ("""{"query":"a","documents":[{"text":"a","text":"b"}]}""", "documents[0].text"), ("""{"query":"\ud800","documents":["a"]}""", "query"),
            ("""{"query":"a","documents":["a","\udc00"]}""", "documents[1]"), ("""{"query":"a","documents":["a"],"request_id":5}""", "request_id"),
        ])
        {
            yield return Of(Rerank, body, param);
        }

        yield return Of(Rerank, """{"query":"a","documents":[{"image":"http://a"}]}""", "documents[0].image", Unsupported);
        yield return Of(Rerank, """{"query":"a","documents":["a",{"content":[{"type":"image_url"}]}]}""", "documents[1].content", Unsupported);
        yield return Of(Rerank, """{"query":"a","documents":["a"],"max_tokens_per_doc":600}""", "max_tokens_per_doc");
        yield return Of(Rerank, """{"query":"a","documents":["a"],"max_tokens_per_doc":1}""", "max_tokens_per_doc");
        yield return Of(Rerank, $$"""{"query":"{{string.Join(' ', Enumerable.Repeat("server", 2000))}}","documents":["a"],"max_tokens_per_doc":10}""", "query", TooLong);
        yield return Of(Rerank, """{"query":"a","documents":["a"],"model":"x"}""", "model", "model_not_found", 404);
    }

    private static IEnumerable<HostileInput> Weights()
    {
        foreach (var (weights, param) in ((string, string)[])
        [
            ("1", "weights"), ("[0.4,0.2,0.4]", "weights"), ("\"0.4,0.2,0.4\"", "weights"), ("{}", "weights"), ("""{"dense":0}""", "weights"), ("""{"dense":0,"sparse":0,"multi_vector":0}""", "weights"), ("""{"dense":-0.1}""", "weights.dense"),
            ("""{"sparse":"1"}""", "weights.sparse"), ("""{"multi_vector":1e400}""", "weights.multi_vector"), ("""{"dense":true}""", "weights.dense"), ("""{"dense":1,"colbert":1}""", "weights.colbert"), ("""{"dense":1,"Dense":1}""", "weights.Dense"),
            ("""{"dense":1e308,"sparse":1e308,"multi_vector":1e308}""", "weights"), ("""{"dense":1,"dense":2}""", "weights.dense"), ("""{"dense":{}}""", "weights.dense"),
        ])
        {
            yield return Of(Rerank, $$"""{"query":"a","documents":["a"],"weights":{{weights}}}""", param);
            yield return Of(Score, $$"""{"text_1":"a","text_2":"a","weights":{{weights}}}""", param);
        }
    }

    private static IEnumerable<HostileInput> Scores()
    {
        foreach (var (body, param) in ((string, string)[])
        [
            ("{}", "text_1"), ("""{"text_1":"a"}""", "text_2"), ("""{"text_2":"a"}""", "text_1"), ("""{"queries":"a"}""", "documents"), ("""{"documents":"a"}""", "queries"), ("""{"items":["a"]}""", "queries"), ("""{"data_2":"a"}""", "data_1"),
            ("""{"text_1":[],"text_2":"a"}""", "text_1"), ("""{"text_1":"a","text_2":[]}""", "text_2"), ("""{"text_1":1,"text_2":"a"}""", "text_1"), ("""{"text_1":"a","text_2":[1]}""", "text_2[0]"), ("""{"text_1":["a",null],"text_2":["a","b"]}""", "text_1[1]"),
            ("""{"text_1":["a","b"],"text_2":"a"}""", "text_1"), ("""{"text_1":["a","b"],"text_2":["a","b","c"]}""", "text_1"), ("""{"text_1":"a","text_2":"b","queries":"c"}""", "queries"), ("""{"text_1":"a","documents":"b"}""", "documents"),
            ("""{"queries":["a"],"documents":["b"],"items":["c"]}""", "items"), ("""{"text_1":{},"text_2":"a"}""", "text_1.text"), ("""{"text_1":"a","text_2":{"text":1}}""", "text_2.text"), ("""{"text_1":"a","text_2":"b","model":7}""", "model"),
            ("""{"text_1":"a","text_1":"b","text_2":"a"}""", "text_1"), ("""{"text_1":"\udfff","text_2":"a"}""", "text_1"),
        ])
        {
            yield return Of(Score, body, param);
        }

        yield return Of(Score, """{"text_1":"a","text_2":{"content":[]}}""", "text_2.content", Unsupported);
        yield return Of(Score, """{"text_1":"a","text_2":"b","model":"x"}""", "model", "model_not_found", 404);
    }

    private static IEnumerable<HostileInput> Inputs()
    {
        foreach (var (body, param) in ((string, string)[])
        [
            ("{}", "input"), ("""{"input":null}""", "input"), ("""{"input":5}""", "input"), ("""{"input":true}""", "input"), ("""{"input":{"text":"a"}}""", "input"), ("""{"input":[]}""", "input"), ("""{"input":[null]}""", "input[0]"), ("""{"input":[true]}""", "input[0]"),
            ("""{"input":[{"text":"a"}]}""", "input[0]"), ("""{"input":["a",1]}""", "input[1]"), ("""{"input":["a",["b"]]}""", "input[1]"), ("""{"input":[[5],"a"]}""", "input[1]"), ("""{"input":[[5],[5,"a"]]}""", "input[1][1]"), ("""{"input":[5,"a"]}""", "input[1]"),
            ("""{"input":[5,1.5]}""", "input[1]"), ("""{"input":[5,2147483648]}""", "input[1]"), ("""{"input":[5,null]}""", "input[1]"), ("""{"input":[[5,[6]]]}""", "input[0][1]"), ("""{"input":"a","encoding_format":"bytes"}""", "encoding_format"), ("""{"input":"a","encoding_format":1}""", "encoding_format"),
            ("""{"input":"a","dimensions":"192"}""", "dimensions"), ("""{"input":"a","dimensions":1.5}""", "dimensions"),
        ])
        {
            yield return Of(Embeddings, body, param);
        }

        yield return Of(Embeddings, """{"messages":[{"role":"user","content":"a"}]}""", "messages", Unsupported);
        yield return Of(Embeddings, """{"input":"a","dimensions":64}""", "dimensions", Unsupported);
    }

    private static IEnumerable<HostileInput> Common()
    {
        foreach (var (path, body) in ((string, string)[])[(Rerank, """ "query":"a","documents":["a"] """), (Score, """ "text_1":"a","text_2":"a" """), (Embeddings, """ "input":"a" """)])
        {
            foreach (var member in (string[])
            [
                "\"truncation_side\":\"left\"", "\"truncation_side\":[\"right\",\"left\"]", "\"max_chunks_per_doc\":5", "\"rank_fields\":[\"text\"]", "\"mm_processor_kwargs\":{}", "\"media_io_kwargs\":{}", "\"chat_template\":\"x\"", "\"chat_template_kwargs\":{}",
                "\"activation\":false", "\"cache_salt\":\"a\"", "\"softmax\":true", "\"use_activation\":false", "\"add_special_tokens\":false", "\"normalize\":false", "\"normalized\":false", "\"priority\":1", "\"task\":\"retrieval.query\"", "\"input_type\":\"query\"",
                "\"instruction\":\"Find it\"", "\"prompt_name\":\"query\"", "\"truncation\":true", "\"truncate\":true", "\"truncate\":\"END\"", "\"truncate\":5", "\"truncation_direction\":\"left\"", "\"late_chunking\":true", "\"return_multivector\":true", "\"embedding_types\":[\"int8\"]",
                "\"embedding_type\":\"binary\"", "\"output_dimension\":64", "\"output_dtype\":\"int8\"",
            ])
            {
                yield return Of(path, $"{{{body},{member}}}", member.Split('"')[1], Unsupported);
            }

            foreach (var length in (string[])["-2", "0", "2", "513", "1.5", "\"5\"", "true", "99999999999", "1e400"])
                yield return Of(path, $"{{{body},\"truncate_prompt_tokens\":{length}}}", "truncate_prompt_tokens");
            yield return Of(path, $"{{{body},\"truncation_side\":5}}", "truncation_side");
            yield return Of(path, $"{{{body},\"priority\":\"high\"}}", "priority");
            foreach (var name in (string[])["softmax", "activation", "use_activation", "add_special_tokens", "normalize", "truncation", "request_id", "model", "embed_dtype", "endianness"])
                yield return Of(path, $"{{{body},\"{name}\":1}}", name);
            yield return Of(path, $"{{{body},\"embed_dtype\":\"float16\"}}", "embed_dtype");
            yield return Of(path, $"{{{body},\"endianness\":\"big\"}}", "endianness");
            yield return Of(path, $"{{{body}}}", "Content-Type", status: 415) with { ContentType = "text/plain" };
        }
    }

    private static IEnumerable<HostileInput> Sizes()
    {
        var words = string.Join(' ', Enumerable.Repeat("server", 2000));
        yield return Of(Rerank, $$"""{"query":"{{words}}","documents":["a"]}""", "query", TooLong);
        yield return Of(Rerank, $$"""{"query":"a","documents":["a","{{words}}"]}""", "documents", TooLong);
        yield return Of(Score, $$"""{"text_1":["a","{{words}}"],"text_2":["a","b"]}""", "text_1", TooLong);
        yield return Of(Score, $$"""{"text_1":"a","text_2":"{{words}}"}""", "text_2", TooLong);
        yield return Of(Rerank, $$"""{"query":"a","documents":[{{string.Join(',', Enumerable.Repeat("\"a\"", 2049))}}]}""", "documents");
        yield return Of(Score, $$"""{"text_1":"a","text_2":[{{string.Join(',', Enumerable.Repeat("\"a\"", 100_000))}}]}""", "text_2");
        yield return Of(Rerank, $$"""{"query":"a","documents":["{{new string('a', 9 << 20)}}"]}""", null, "request_too_large", 413);
        yield return Of(Rerank, $$"""{"query":"a","documents":[{"text":"a","b":{{new string('[', 70)}}{{new string(']', 70)}}}]}""", null);
        yield return Of(Score, $$"""{"text_1":"a","text_2":"{{string.Concat(Enumerable.Range(0xFDD0, 32).Select(mark => (char)mark))}}"}""", "text_2");
        foreach (var text in (string[])["x", "中"])
            yield return Of(Rerank, $$"""{"query":"a","documents":["{{string.Concat(Enumerable.Repeat(text, 1 << 18))}}"]}""", "documents", TooLong);
    }
}
