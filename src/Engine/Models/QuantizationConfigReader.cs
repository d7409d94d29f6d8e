using System.Text.Json;
using LocalLlm.Ops;

namespace LocalLlm.Models;

/// <summary>
/// Reads <c>quantization_config</c> from an untrusted config.json: <c>fp8</c> in blocks, as DeepSeek and transformers' FineGrainedFP8Config
/// write it, and <c>compressed-tensors</c> in 8-bit floats, as llm-compressor writes it.
/// </summary>
internal static class QuantizationConfigReader
{
    private const string Section = "quantization_config";
    private const string Wanted = "fp8 with e4m3 weights in blocks, compressed-tensors in 8-bit floats, or unquantised weights";
    private const int MinEdge = 16;
    private const int MaxEdge = 65_536;

    // Fields that are read here, or that do not change the weights: how a tool found the scales, stored them or would load them. Any other
    // field is refused.
    private static readonly string[] s_blockFields =
        ["quant_method", "fmt", "activation_scheme", "scale_fmt", "weight_block_size", "modules_to_not_convert", "ignored_layers", "is_checkpoint_fp8_serialized", "dequantize"];

    private static readonly string[] s_compressedFields =
        ["quant_method", "format", "kv_cache_scheme", "config_groups", "ignore", "sparsity_config", "quantization_status", "global_compression_ratio", "version"];

    private static readonly string[] s_groupFields = ["targets", "weights", "input_activations", "format"];

    private static readonly string[] s_weightFields =
        ["num_bits", "type", "strategy", "block_structure", "symmetric", "dynamic", "observer", "observer_kwargs", "scale_dtype", "zp_dtype"];

    // The configuration to go on with where the file's own was refused.
    private static readonly QuantizationConfig s_refused = new(MaxEdge, MaxEdge, []);

    /// <summary>Reads the configuration; null: the weights are unquantised, or something was refused.</summary>
    /// <param name="fields">The top of the file; problems go to its list.</param>
    public static QuantizationConfig? Read(ModelConfigFields fields)
    {
        if (fields.Value("compression_config") is not null)
            fields.Refuse("compression_config", $"none: {Wanted}");
        if (fields.Object(Section) is not { } config)
            return null;
        switch (config.Text("quant_method"))
        {
            case "fp8":
                return ReadBlocks(config);
            case "compressed-tensors":
                return ReadCompressed(config);
            default:
                // A value that is not a string was refused where it was read.
                if (config.Value("quant_method") is null or { ValueKind: JsonValueKind.String })
                    config.Refuse("quant_method", Wanted);
                return null;
        }
    }

    private static QuantizationConfig ReadBlocks(ModelConfigFields config)
    {
        Require(config, "fmt", "e4m3");
        Require(config, "activation_scheme", "dynamic");
        Require(config, "scale_fmt", "ue8m0");
        Require(config, "is_checkpoint_fp8_serialized", true);
        config.RefuseOthers(s_blockFields);
        var read = BlockOf(config, "weight_block_size");
        // The name that transformers uses, and the older one of other tools.
        return read with { Kept = [.. Names(config, "modules_to_not_convert"), .. Names(config, "ignored_layers")] };
    }

    // One group of settings for all linear layers except those in "ignore".
    private static QuantizationConfig ReadCompressed(ModelConfigFields config)
    {
        Require(config, "format", "float-quantized");
        config.RefuseOthers(s_compressedFields);
        if (config.Value("kv_cache_scheme") is not null)
            config.Refuse("kv_cache_scheme", "none: scales of the KV cache are not read; --kv-cache-dtype fp8 computes its own");
        if (config.Object("sparsity_config") is { } sparsity && sparsity.All.Any() && sparsity.Text("format") is not "dense")
            sparsity.Refuse("format", "dense");
        var read = s_refused;
        var groups = config.Object("config_groups");
        if (groups?.All.ToList() is not [var only] || groups.Object(only.Name) is not { } group)
        {
            if (groups is not null || config.Value("config_groups") is null)
                config.Refuse("config_groups", "one group");
        }
        else
        {
            if (group.Texts("targets") is not ["Linear"])
                group.Refuse("targets", "[\"Linear\"]");
            Require(group, "format", "float-quantized");
            group.RefuseOthers(s_groupFields);
            if (group.Object("input_activations") is { } inputs && inputs.Bool("dynamic") != true)
                inputs.Refuse("dynamic", "true: scales of activations are not read");
            read = group.Object("weights") is { } weights ? ReadWeights(weights) : Refused(group, "weights", "an object");
        }

        var kept = Names(config, "ignore");
        if (kept.Any(name => name.StartsWith("re:", StringComparison.Ordinal)))
            config.Refuse("ignore", "names of modules, and no regular expressions (re:…)");
        return read with { Kept = kept, ScaleSuffix = "_scale" };
    }

    private static QuantizationConfig ReadWeights(ModelConfigFields weights)
    {
        if (weights.Int("num_bits", 1, 32) is not 8)
            weights.Refuse("num_bits", "8");
        if (weights.Text("type") is not "float")
            weights.Refuse("type", "float");
        Require(weights, "symmetric", true);
        Require(weights, "dynamic", false);
        weights.RefuseOthers(s_weightFields);
        if (weights.Text("strategy") is "channel" or "tensor" && weights.Value("block_structure") is not null)
            weights.Refuse("block_structure", "none beside this strategy");
        return weights.Text("strategy") switch
        {
            "channel" => new(1, Fp8Grid.Whole, []),
            "tensor" => new(Fp8Grid.Whole, Fp8Grid.Whole, []),
            "block" => BlockOf(weights, "block_structure"),
            _ => Refused(weights, "strategy", "channel, tensor or block"),
        };
    }

    private static QuantizationConfig BlockOf(ModelConfigFields config, string name)
    {
        if (config.Value(name) is { ValueKind: JsonValueKind.Array } list)
        {
            var edges = list.EnumerateArray().Select(edge =>
                edge.ValueKind == JsonValueKind.Number && edge.TryGetInt32(out var size) && size is >= MinEdge and <= MaxEdge ? size : 0).ToArray();
            if (edges is [> 0, > 0])
                return new(edges[0], edges[1], []);
        }

        return Refused(config, name, $"two whole numbers from {MinEdge} to {MaxEdge}, such as [128, 128]");
    }

    private static List<string> Names(ModelConfigFields config, string name) => [.. (config.Texts(name) ?? []).Where(text => text.Length > 0)];

    private static void Require(ModelConfigFields config, string name, string only)
    {
        if (config.Text(name) is { } text && text != only)
            config.Refuse(name, only);
    }

    private static void Require(ModelConfigFields config, string name, bool only)
    {
        if (config.Bool(name) is { } value && value != only)
            config.Refuse(name, only ? "true" : "false");
    }

    private static QuantizationConfig Refused(ModelConfigFields config, string name, string wanted)
    {
        config.Refuse(name, wanted);
        return s_refused;
    }
}
