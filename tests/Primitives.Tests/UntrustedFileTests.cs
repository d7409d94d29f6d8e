using System.Text;
using Xunit;

namespace LocalLlm.Primitives.Tests;

public sealed class UntrustedFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("untrusted").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_file_larger_than_the_limit_is_not_read()
    {
        var path = Write("{\"a\": 1}");
        Assert.Equal("a.json: has 8 bytes; at most 4 were wanted", Assert.Throws<UntrustedFileException>(() => UntrustedFile.ReadBytes(path, "a.json", 4, "an object")).Message);
    }

    [Fact]
    public void A_path_that_is_not_a_file_is_missing()
    {
        foreach (var path in (string[])[_folder, Path.Combine(_folder, "none"), "/dev/zero"])
        {
            var refusal = Assert.Throws<UntrustedFileException>(() => UntrustedFile.ReadBytes(path, "a.json", 100, "an object"));
            Assert.Equal("a.json", refusal.File);
        }
    }

    [Theory]
    [InlineData("[1]", "an object was wanted")]
    [InlineData("{\"a\":1,\"a\":2}", "is not valid JSON")]
    [InlineData("{\"a\":1} // note", "is not valid JSON")]
    [InlineData("\uFEFF{}", "byte order mark")]
    public void A_whole_file_is_one_strict_object(string json, string reason) =>
        Assert.Contains(reason, Assert.Throws<UntrustedFileException>(() => UntrustedJson.ParseObject("a.json", Encoding.UTF8.GetBytes(json))).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("{\"a\":{\"b\":1},\"a\":2}", "a.json: the file has the member \"a\" twice")]
    [InlineData("[]", "a.json: the outermost value is no object")]
    [InlineData("{} {}", "no valid JSON")]
    [InlineData("{\"a\":", "a.json: the file is no valid JSON")]
    public void Sections_of_a_malformed_file_are_refused(string json, string reason) =>
        Assert.Contains(reason, Assert.Throws<UntrustedFileException>(() => JsonSections.ReadFile(Write(json))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_complaint_about_a_field_names_its_path()
    {
        var model = JsonSections.ReadFile(Write("""{"model":{"vocab":[{"id":"x"}]}}""")).Object("model");
        var id = model.Field("vocab").Items().Single()["id"];
        Assert.Equal("a.json: model.vocab[0].id is of kind String; a whole number from 0 to 9 was expected", Assert.Throws<UntrustedFileException>(() => id.Int32(0, 9)).Message);
        Assert.True(model.Field("other").IsNull);
    }

    private string Write(string text)
    {
        var path = Path.Combine(_folder, "a.json");
        File.WriteAllText(path, text);
        return path;
    }
}
