using System.Text.Json;

namespace LocalLlm.Models;

/// <summary>Reads <c>quantization_config</c> of an untrusted config.json, as DeepSeek and transformers' FineGrainedFP8Config write it.</summary>
internal static class QuantizationConfigReader
{
    private const string Section = "quantization_config";
    private const int MinEdge = 16;
    private const int MaxEdge = 65_536;

    /// <summary>The configuration; null where the weights are unquantised, or something of it is refused.</summary>
    /// <param name="fields">The top of the file; what is wrong goes to its problems.</param>
    public static QuantizationConfig? Read(ModelConfigFields fields)
    {
        const string wanted = "fp8 with e4m3 weights in blocks, or unquantised weights";
        if (fields.Value("compression_config") is not null)
            fields.Refuse("compression_config", $"none: {wanted}");
        if (fields.Object(Section) is not { } config)
            return null;
        if (config.Text("quant_method") is not "fp8")
        {
            // A value that is no text was refused where it was read.
            if (config.Value("quant_method") is null or { ValueKind: JsonValueKind.String })
                config.Refuse("quant_method", wanted);
            return null;
        }

        RequireOneOf(config, "fmt", "e4m3");
        RequireOneOf(config, "activation_scheme", "dynamic");
        RequireOneOf(config, "scale_fmt", "ue8m0");
        var block = BlockOf(config);
        // transformers' name, and the older one of other tools.
        var kept = (config.Texts("modules_to_not_convert") ?? []).Concat(config.Texts("ignored_layers") ?? []);
        return new(block?.Rows ?? MinEdge, block?.Columns ?? MinEdge, [.. kept.Where(name => name.Length > 0)]);
    }

    private static void RequireOneOf(ModelConfigFields config, string name, string only)
    {
        if (config.Text(name) is { } text && text != only)
            config.Refuse(name, only);
    }

    private static (int Rows, int Columns)? BlockOf(ModelConfigFields config)
    {
        if (config.Value("weight_block_size") is { ValueKind: JsonValueKind.Array } list)
        {
            var edges = list.EnumerateArray().Select(edge =>
                edge.ValueKind == JsonValueKind.Number && edge.TryGetInt32(out var size) && size is >= MinEdge and <= MaxEdge ? size : 0).ToArray();
            if (edges is [> 0, > 0])
                return (edges[0], edges[1]);
        }

        config.Refuse("weight_block_size", $"two whole numbers from {MinEdge} to {MaxEdge}, such as [128, 128]: one scale for a whole matrix or row is not supported");
        return null;
    }
}
