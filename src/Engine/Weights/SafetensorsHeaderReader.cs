using System.Text;
using System.Text.Json;

namespace LocalLlm.Weights;

/// <summary>
/// Reads the JSON of a safetensors header token by token: no document tree, nothing allocated but what the header itself spells
/// out. Checks each entry by itself; how the entries lie together is checked by <see cref="SafetensorsHeader"/>.
/// </summary>
internal ref struct SafetensorsHeaderReader
{
    private const int MaxDims = 8;
    private const int MaxDepth = 8;
    private const string MetadataName = "__metadata__";

    private readonly string _file;
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private Utf8JsonReader _json;

    public SafetensorsHeaderReader(string file, ReadOnlySpan<byte> header)
    {
        _file = file;
        _json = new Utf8JsonReader(header, new JsonReaderOptions { MaxDepth = MaxDepth });
    }

    /// <summary>The entries in the header's order; <see cref="TensorInfo.Offset"/> counts from the start of the data section.</summary>
    public List<TensorInfo> Tensors { get; } = [];

    /// <summary>The <c>__metadata__</c> map.</summary>
    public Dictionary<string, string> Metadata { get; } = new(StringComparer.Ordinal);

    /// <summary>Reads everything, to the end of the text.</summary>
    /// <exception cref="JsonException">The text is not JSON.</exception>
    /// <exception cref="EngineException">An entry breaks a rule.</exception>
    public void Read()
    {
        _json.Read();
        while (_json.Read() && _json.TokenType == JsonTokenType.PropertyName)
        {
            var name = _json.GetString()!;
            if (!_names.Add(name))
                throw Error($"tensor {ModelFolderProblems.Quote(name)}: the name occurs twice, wanted once");
            _json.Read();
            if (name == MetadataName)
                ReadMetadata();
            else
                Tensors.Add(ReadEntry(name));
        }

        // Only white space may follow the object; anything else throws.
        _json.Read();
    }

    private void ReadMetadata()
    {
        if (_json.TokenType == JsonTokenType.Null)
            return;
        if (_json.TokenType != JsonTokenType.StartObject)
            throw Error($"{MetadataName}: found {Found()}, wanted an object of strings");
        while (_json.Read() && _json.TokenType == JsonTokenType.PropertyName)
        {
            var key = _json.GetString()!;
            _json.Read();
            if (_json.TokenType != JsonTokenType.String)
                throw Error($"{MetadataName}: {ModelFolderProblems.Quote(key)}: found {Found()}, wanted a string");
            if (!Metadata.TryAdd(key, _json.GetString()!))
                throw Error($"{MetadataName}: {ModelFolderProblems.Quote(key)}: the name occurs twice, wanted once");
        }
    }

    private TensorInfo ReadEntry(string name)
    {
        if (_json.TokenType != JsonTokenType.StartObject)
            throw Error($"tensor {ModelFolderProblems.Quote(name)}: found {Found()}, wanted an object with dtype, shape and data_offsets");

        SafetensorsDtype? dtype = null;
        long[]? shape = null;
        (long Begin, long End)? offsets = null;
        HashSet<string>? others = null;
        while (_json.Read() && _json.TokenType == JsonTokenType.PropertyName)
        {
            var field = _json.GetString()!;
            _json.Read();
            var isFirst = field switch
            {
                "dtype" => dtype is null,
                "shape" => shape is null,
                "data_offsets" => offsets is null,
                _ => (others ??= new(StringComparer.Ordinal)).Add(field),
            };
            if (!isFirst)
                throw Error($"tensor {ModelFolderProblems.Quote(name)}: {ModelFolderProblems.Quote(field)} occurs twice, wanted once");
            if (field == "dtype")
                dtype = ReadDtype(name);
            else if (field == "shape")
                shape = ReadShape(name);
            else if (field == "data_offsets")
                offsets = ReadOffsets(name);
            else
                _json.Skip(); // the reference reader ignores further fields
        }

        if (dtype is null || shape is null || offsets is null)
        {
            var missing = dtype is null ? "dtype" : shape is null ? "shape" : "data_offsets";
            throw Error($"tensor {ModelFolderProblems.Quote(name)}: {missing}: is missing");
        }

        var (begin, end) = offsets.Value;
        if (begin > end)
            throw Error($"tensor {ModelFolderProblems.Quote(name)}: data_offsets: found [{begin}, {end}], wanted begin <= end");
        var size = ByteSize(name, dtype.Value, shape);
        if (end - begin != size)
        {
            throw Error(
                $"tensor {ModelFolderProblems.Quote(name)}: data_offsets: found {end - begin} bytes, wanted {size}: " +
                $"shape [{string.Join(", ", shape)}] of {dtype.Value.Name()}");
        }

        return new TensorInfo(name, dtype.Value, shape, begin, size);
    }

    private readonly SafetensorsDtype ReadDtype(string name)
    {
        var text = _json.TokenType == JsonTokenType.String ? _json.GetString()! : null;
        if (text is null)
            throw Error($"tensor {ModelFolderProblems.Quote(name)}: dtype: found {Found()}, wanted one of {SafetensorsDtypes.Known}");
        if (SafetensorsDtypes.TryParse(text, out var dtype))
            return dtype;
        var fault = SafetensorsDtypes.IsUnsupported(text) ? "which this build does not support" : "which is unknown";
        throw Error(
            $"tensor {ModelFolderProblems.Quote(name)}: dtype: found {ModelFolderProblems.Quote(text)}, {fault}; " +
            $"wanted one of {SafetensorsDtypes.Known}");
    }

    private long[] ReadShape(string name)
    {
        if (_json.TokenType != JsonTokenType.StartArray)
            throw Error($"tensor {ModelFolderProblems.Quote(name)}: shape: found {Found()}, wanted an array of whole numbers");
        Span<long> dims = stackalloc long[MaxDims];
        var count = 0;
        while (_json.Read() && _json.TokenType != JsonTokenType.EndArray)
        {
            if (count == MaxDims)
                throw Error($"tensor {ModelFolderProblems.Quote(name)}: shape: found more than {MaxDims} dimensions, wanted at most {MaxDims}");
            dims[count] = ReadCount(name, $"shape[{count}]");
            count++;
        }

        return dims[..count].ToArray();
    }

    private (long Begin, long End) ReadOffsets(string name)
    {
        if (_json.TokenType != JsonTokenType.StartArray)
            throw Error($"tensor {ModelFolderProblems.Quote(name)}: data_offsets: found {Found()}, wanted [begin, end]");
        _json.Read();
        var begin = ReadCount(name, "data_offsets[0]");
        _json.Read();
        var end = ReadCount(name, "data_offsets[1]");
        _json.Read();
        if (_json.TokenType != JsonTokenType.EndArray)
            throw Error($"tensor {ModelFolderProblems.Quote(name)}: data_offsets: found more than two numbers, wanted [begin, end]");
        return (begin, end);
    }

    private readonly long ReadCount(string name, string field)
    {
        if (_json.TokenType == JsonTokenType.Number && _json.TryGetUInt64(out var value) && value <= long.MaxValue)
            return (long)value;
        throw Error($"tensor {ModelFolderProblems.Quote(name)}: {field}: found {Found()}, wanted a whole number from 0 to {long.MaxValue}");
    }

    private readonly long ByteSize(string name, SafetensorsDtype dtype, long[] shape)
    {
        // Left to right and overflow-checked as in the reference, so that a later 0 does not excuse an earlier overflow.
        try
        {
            long size = 1;
            foreach (var dim in shape)
                size = checked(size * dim);
            return checked(size * dtype.ByteSize());
        }
        catch (OverflowException e)
        {
            throw EngineException.ModelFolder(
                _file,
                $"tensor {ModelFolderProblems.Quote(name)}: shape: [{string.Join(", ", shape)}] of {dtype.Name()} overflows 63 bits",
                e);
        }
    }

    private readonly string Found() => _json.TokenType switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "an array",
        JsonTokenType.EndArray => "the end of the array",
        JsonTokenType.String => ModelFolderProblems.Quote(_json.GetString()!),
        JsonTokenType.Number when _json.ValueSpan.Length > 40 => "a number of more than 40 digits",
        _ => Encoding.UTF8.GetString(_json.ValueSpan),
    };

    private readonly EngineException Error(string problem) => EngineException.ModelFolder(_file, problem);
}
