using System.Diagnostics;
using System.Text.Json;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Commands;

public sealed class EmbedTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static string[] Embed(params string[] more) => ["embed", TestPaths.TinyM3, "--device", "cpu", "--input", "-", .. more];

    [Fact]
    public async Task Every_kind_is_what_the_engine_makes_of_the_text()
    {
        const EmbeddingKinds all = EmbeddingKinds.Dense | EmbeddingKinds.Sparse | EmbeddingKinds.MultiVector;
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cpu" }, cancellationToken: Token);
        var expected = (await engine.EmbedAsync(["the server is in Dublin"], all, cancellationToken: Token))[0];
        var run = await Cli.WithInputAsync("""{"id":"a","text":"the server is in Dublin"}""", Embed("--dense", "--sparse", "--colbert"));
        Assert.Equal(0, run.ExitCode);
        var line = JsonTest.Parse(run.Lines.Single());
        Assert.Equal(["id", "dense", "sparse", "colbert", "tokens"], line.EnumerateObject().Select(member => member.Name));
        Assert.Equal("a", line.Text("id"));
        AssertClose(expected.Dense!, line.GetProperty("dense"));
        var sparse = line.GetProperty("sparse").EnumerateObject().ToDictionary(token => int.Parse(token.Name, System.Globalization.CultureInfo.InvariantCulture), token => token.Value.GetSingle());
        Assert.Equal(expected.Sparse!.Keys.Order(), sparse.Keys.Order());
        Assert.All(sparse, token => Assert.Equal(expected.Sparse[token.Key], token.Value, 1e-5f));
        var rows = line.GetProperty("colbert").EnumerateArray().ToArray();
        Assert.Equal(expected.MultiVector!.Count, rows.Length);
        Assert.All(expected.MultiVector.Zip(rows), pair => AssertClose(pair.First, pair.Second));
        Assert.Equal(expected.TokenCount, line.GetProperty("tokens").GetInt32());
    }

    [Theory]
    [InlineData("", "dense")]
    [InlineData("--dense", "dense")]
    [InlineData("--sparse", "sparse")]
    [InlineData("--colbert", "colbert")]
    [InlineData("--colbert --dense", "dense,colbert")]
    public async Task Only_what_is_asked_for_is_written(string options, string members)
    {
        var run = await Cli.WithInputAsync("\"a text\"", Embed(options.Split(' ', StringSplitOptions.RemoveEmptyEntries)));
        Assert.Equal([.. members.Split(','), "tokens"], JsonTest.Parse(run.Lines.Single()).EnumerateObject().Select(member => member.Name));
    }

    [Fact]
    public async Task A_bad_line_is_one_error_with_its_number_in_its_place()
    {
        var tooLong = string.Join(' ', Enumerable.Repeat("server", 2000));
        var run = await Cli.WithInputAsync(
            $$$"""
            {"id": 12345678901234567890, "text": "a"}
            "b"
            {"id": "x", "text": 5}

            {"id": [1], "text": "a"}
            nothing
            ["a"]
            {"id": "y"}
            {"id": "z", "text": "{{{tooLong}}}"}
            {"text": "\ud800", "more": {"a": 1}}
            {"text": ""}
            """,
            Embed());
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("11 texts, 7 failed", run.Error, StringComparison.Ordinal);
        var lines = JsonTest.ParseAll(run.Lines);
        Assert.Equal(11, lines.Length);
        Assert.Equal("12345678901234567890", lines[0].GetProperty("id").GetRawText());
        foreach (var good in (int[])[0, 1, 9, 10])
            Assert.Equal(192, lines[good].GetProperty("dense").GetArrayLength());
        foreach (var bad in (int[])[2, 3, 4, 5, 6, 7, 8])
            Assert.StartsWith($"line {bad + 1}", lines[bad].GetProperty("error").Text("message"), StringComparison.Ordinal);
        Assert.Equal("x", lines[2].Text("id"));
        Assert.Equal("text", lines[2].GetProperty("error").Text("param"));
        Assert.Equal("y", lines[7].Text("id"));
        Assert.Equal("context_length_exceeded", lines[8].GetProperty("error").Text("type"));
        Assert.Contains("text has", lines[8].GetProperty("error").Text("message"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"text":"a","truncate":true}""", "truncate: given an option in a line, allowed it for all lines, as --truncate", "truncate")]
    [InlineData("""{"text":"a","dimensions":64}""", "dimensions is not supported", "dimensions")]
    [InlineData("""{"text":"a","trunctae":true}""", "did you mean truncate?", "trunctae")]
    [InlineData("""{"txt":"a","number":7}""", "text: given an object of txt, number", "text")]
    [InlineData("""{"txt":"a"}""", "did you mean text?", "text")]
    [InlineData("{}", "text: given an empty object", "text")]
    public async Task A_line_that_asks_for_what_lines_do_not_have_is_refused_by_name(string line, string message, string param)
    {
        var error = JsonTest.Parse((await Cli.WithInputAsync(line, Embed())).Lines.Single()).GetProperty("error");
        Assert.Contains(message, error.Text("message"), StringComparison.Ordinal);
        Assert.Equal(param, error.Text("param"));
    }

    [Fact]
    public async Task Members_of_the_lines_own_are_left_alone_and_named_once()
    {
        var run = await Cli.WithInputAsync("""
            {"text":"a","test":1,"page":2}
            {"text":"a","page":3}
            """, Embed());
        Assert.Contains("2 texts, 0 failed", run.Error, StringComparison.Ordinal);
        Assert.Contains("ignored unknown fields: page, test", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Another_tokenizer_that_is_not_there_is_blamed_by_its_own_option()
    {
        var run = await Cli.WithInputAsync("\"a\"", Embed("--tokenizer", "/nowhere"));
        Assert.Equal(ExitCodes.Usage, run.ExitCode);
        Assert.Contains("tokenizer '/nowhere'", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_text_that_is_too_long_is_cut_where_that_is_asked_for()
    {
        var run = await Cli.WithInputAsync(JsonSerializer.Serialize(string.Join(' ', Enumerable.Repeat("server", 2000))), Embed("--truncate", "--max-model-len", "64"));
        Assert.Equal(64, JsonTest.Parse(run.Lines.Single()).GetProperty("tokens").GetInt32());
    }

    [Fact]
    public async Task Results_come_in_the_order_of_the_lines_whatever_their_length()
    {
        var random = new Random(1);
        var input = string.Join('\n', Enumerable.Range(0, 600).Select(i => JsonSerializer.Serialize(new { id = i, text = string.Join(' ', Enumerable.Repeat("server", random.Next(1, 200))) })));
        var run = await Cli.WithInputAsync(input, Embed("--max-num-batched-tokens", "512"));
        Assert.Equal(Enumerable.Range(0, 600), JsonTest.ParseAll(run.Lines).Select(line => line.GetProperty("id").GetInt32()));
    }

    [Fact]
    public async Task Files_are_read_and_written_and_a_failure_to_load_leaves_the_output()
    {
        var folder = Directory.CreateTempSubdirectory("localllm-embed-");
        var (input, output) = (Path.Combine(folder.FullName, "in.jsonl"), Path.Combine(folder.FullName, "out.jsonl"));
        await File.WriteAllTextAsync(input, "\"a\"\n\"b\"\n", Token);
        await File.WriteAllTextAsync(output, "before", Token);
        var failed = await Cli.RunAsync("embed", TestPaths.TinyR1, "--device", "cpu", "--input", input, "--output", output);
        Assert.Equal(ExitCodes.Failure, failed.ExitCode);
        Assert.Contains("XLMRobertaModel", failed.Error, StringComparison.Ordinal);
        Assert.Equal("before", await File.ReadAllTextAsync(output, Token));
        var run = await Cli.RunAsync("embed", TestPaths.TinyM3, "--device", "cpu", "--input", input, "--output", output);
        Assert.Equal((0, ""), (run.ExitCode, run.Output));
        Assert.Equal(2, (await File.ReadAllLinesAsync(output, Token)).Length);
        folder.Delete(recursive: true);
    }

    [Theory]
    [InlineData("embed", "\"a text\"")]
    [InlineData("tokenize", "{\"text\":\"a\"}")]
    public async Task A_reader_that_has_gone_ends_the_work(string command, string line)
    {
        string[] device = command == "embed" ? ["--device", "cpu"] : [];
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "localllm.dll"), command, TestPaths.TinyM3, "--input", "-", .. device]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync(Token);
        // Writes lines without end, so only the closed output can end the program.
        var writing = WriteAsync();
        Assert.NotNull(await process.StandardOutput.ReadLineAsync(Token));
        process.StandardOutput.Close();
        await process.WaitForExitAsync(Token);
        await writing;
        Assert.Equal((ExitCodes.ReaderGone, ""), (process.ExitCode, await errors));

        async Task WriteAsync()
        {
            try
            {
                while (true)
                    await process.StandardInput.WriteLineAsync(line.AsMemory(), Token);
            }
            catch (IOException)
            {
                // The program has ended.
            }
        }
    }

    [Theory]
    [InlineData("--max-num-seqs 4", "--max-num-seqs")]
    [InlineData("--chat-template x", "--chat-template")]
    [InlineData("--dense=1", "--dense takes no value")]
    [InlineData("--dtype int8", "dtype is 'int8'")]
    [InlineData("--max-model-len 600", "max_model_len is 600")]
    public async Task Options_that_it_does_not_have_are_errors(string options, string expected)
    {
        var run = await Cli.WithInputAsync("\"a\"", Embed(options.Split(' ')));
        Assert.Equal(ExitCodes.Usage, run.ExitCode);
        Assert.Contains(expected, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_the_model_does_not_make_is_refused_before_a_line_is_read()
    {
        var folder = Directory.CreateTempSubdirectory("localllm-dense-");
        Directory.CreateDirectory(Path.Combine(folder.FullName, "1_Pooling"));
        foreach (var file in (string[])["config.json", "modules.json", "1_Pooling/config.json", "pytorch_model.bin", "tokenizer.json", "tokenizer_config.json"])
            File.Copy(Path.Combine(TestPaths.TinyM3, file), Path.Combine(folder.FullName, file));
        var run = await Cli.WithInputAsync("\"a\"", "embed", folder.FullName, "--device", "cpu", "--input", "-", "--sparse", "--colbert");
        folder.Delete(recursive: true);
        Assert.Equal((ExitCodes.Usage, ""), (run.ExitCode, run.Output));
        Assert.Contains("--sparse, --colbert", run.Error, StringComparison.Ordinal);
    }

    private static void AssertClose(IReadOnlyList<float> expected, JsonElement actual) =>
        Assert.All(expected.Zip(actual.EnumerateArray()), pair => Assert.Equal(pair.First, pair.Second.GetSingle(), 1e-5f));
}
