using System.Text.Json;
using LocalLlm.Requests;
using Xunit;

namespace LocalLlm.Tests.Requests;

public class JsonFieldsTests
{
    [Fact]
    public void Every_fault_of_an_object_stands_in_one_error()
    {
        var errors = new RequestErrors();
        var fields = Read("""{"n": "3", "temperature": 1e400, "stream": 1, "seed": 5.5, "seed": 6}""", errors);
        Assert.Null(fields.Integer("n"));
        Assert.Null(fields.Number("temperature"));
        Assert.Null(fields.Boolean("stream"));
        fields.Integer("seed");
        var refusal = Assert.Throws<EngineException>(errors.ThrowIfAny);
        Assert.Equal(EngineErrorKind.InvalidRequest, refusal.Kind);
        Assert.All(["n", "temperature", "stream", "seed"], name => Assert.Contains(name, refusal.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void What_nothing_has_asked_for_is_left()
    {
        var errors = new RequestErrors();
        var fields = Read("""{"n": 1e1, "user": null, "unheard_of": true}""", errors);
        Assert.Equal(10, fields.Integer("n"));
        Assert.Null(fields.Text("user"));
        Assert.Equal(["unheard_of"], fields.Unconsumed);
        errors.ThrowIfAny();
    }

    [Fact]
    public void Only_an_object_has_fields() => Assert.Throws<ArgumentException>(() => Read("[]", new()));

    private static JsonFields Read(string json, RequestErrors errors) => new(JsonDocument.Parse(json).RootElement, errors);
}
