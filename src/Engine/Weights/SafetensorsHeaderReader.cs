using System.Text;
using System.Text.Json;
using static LocalLlm.Weights.ModelFolderProblems;

namespace LocalLlm.Weights;

/// <summary>
/// Reads the JSON of a safetensors header token by token, without a document tree; it allocates only what the header spells out. It checks
/// each entry by itself; <see cref="SafetensorsHeader"/> checks the layout of all entries together.
/// </summary>
internal ref struct SafetensorsHeaderReader
{
    private const int MaxDims = 8;

    // The largest known model has 92,000 in all its files.
    private const int MaxTensors = 200_000;
    private const int MaxDepth = 8;
    private const string MetadataName = "__metadata__";

    private readonly string _file;
    private readonly long _dataStart;
    private readonly long _dataLength;
    private Utf8JsonReader _json;

    /// <summary>Prepares reading.</summary>
    /// <param name="file">The file's name for messages.</param>
    /// <param name="header">The JSON text.</param>
    /// <param name="dataStart">Where the data section begins in the file.</param>
    /// <param name="dataLength">Bytes of the data section; no tensor may end beyond it.</param>
    public SafetensorsHeaderReader(string file, ReadOnlySpan<byte> header, long dataStart, long dataLength)
    {
        _file = file;
        _dataStart = dataStart;
        _dataLength = dataLength;
        _json = new Utf8JsonReader(header, new JsonReaderOptions { MaxDepth = MaxDepth });
    }

    /// <summary>The tensors by name, each within the data section.</summary>
    public Dictionary<string, TensorInfo> Tensors { get; } = new(StringComparer.Ordinal);

    /// <summary>The <c>__metadata__</c> map; null if the header has none.</summary>
    public Dictionary<string, string>? Metadata { get; private set; }

    /// <summary>Reads the whole text.</summary>
    /// <exception cref="JsonException">The text is not JSON.</exception>
    /// <exception cref="EngineException">An entry breaks a rule.</exception>
    public void Read()
    {
        _json.Read();
        while (_json.Read() && _json.TokenType == JsonTokenType.PropertyName)
        {
            var name = _json.GetString()!;
            _json.Read();
            if (name == MetadataName)
                ReadMetadata();
            else if (Tensors.Count == MaxTensors)
                throw Error($"more than {MaxTensors:N0} tensors; a shard of a model has some thousands");
            else if (!Tensors.TryAdd(name, ReadEntry(name)))
                throw Error($"tensor {Quote(name)}: the name occurs twice, wanted once");
        }

        // Only white space may follow the object; anything else throws.
        _json.Read();
    }

    private void ReadMetadata()
    {
        if (Metadata is not null)
            throw Error($"{MetadataName}: the name occurs twice, wanted once");
        Metadata = new(StringComparer.Ordinal);
        if (_json.TokenType == JsonTokenType.Null)
            return;
        if (_json.TokenType != JsonTokenType.StartObject)
            throw Error($"{MetadataName}: found {Found()}, wanted an object of strings");
        while (_json.Read() && _json.TokenType == JsonTokenType.PropertyName)
        {
            var key = _json.GetString()!;
            _json.Read();
            if (_json.TokenType != JsonTokenType.String)
                throw Error($"{MetadataName}: {Quote(key)}: found {Found()}, wanted a string");
            if (!Metadata.TryAdd(key, _json.GetString()!))
                throw Error($"{MetadataName}: {Quote(key)}: the name occurs twice, wanted once");
        }
    }

    private TensorInfo ReadEntry(string name)
    {
        if (_json.TokenType != JsonTokenType.StartObject)
            throw Error($"tensor {Quote(name)}: found {Found()}, wanted an object with dtype, shape and data_offsets");

        (SafetensorsDtype Type, string? Other)? dtype = null;
        long[]? shape = null;
        (long Begin, long End)? offsets = null;
        HashSet<string>? others = null;
        while (_json.Read() && _json.TokenType == JsonTokenType.PropertyName)
        {
            if (_json.ValueTextEquals("dtype"u8))
                dtype = dtype is null ? ReadDtype(name) : throw Twice(name, "dtype");
            else if (_json.ValueTextEquals("shape"u8))
                shape = shape is null ? ReadShape(name) : throw Twice(name, "shape");
            else if (_json.ValueTextEquals("data_offsets"u8))
                offsets = offsets is null ? ReadOffsets(name) : throw Twice(name, "data_offsets");
            else if (!(others ??= new(StringComparer.Ordinal)).Add(_json.GetString()!))
                throw Twice(name, _json.GetString()!);
            else
                _json.Skip(); // the reference reader ignores unknown fields
        }

        if (dtype is null || shape is null || offsets is null)
        {
            var missing = dtype is null ? "dtype" : shape is null ? "shape" : "data_offsets";
            throw Error($"tensor {Quote(name)}: {missing}: is missing");
        }

        var (begin, end) = offsets.Value;
        if (begin > end)
            throw Error($"tensor {Quote(name)}: data_offsets: found [{begin}, {end}], wanted begin <= end");
        var (type, other) = dtype.Value;
        // A type that the format does not know has the size that its span gives.
        var size = ByteSize(name, type, other, shape) ?? end - begin;
        if (end - begin != size)
        {
            throw Error(
                $"tensor {Quote(name)}: data_offsets: found {end - begin} bytes, wanted {size}: " +
                $"shape [{string.Join(", ", shape)}] of {other ?? type.Name()}");
        }

        if (end > _dataLength)
        {
            throw Error(
                $"tensor {Quote(name)}: data_offsets end at {end}, but the data section has {_dataLength} bytes: the file is truncated");
        }

        return new TensorInfo(name, type, shape, _dataStart + begin, size) { OtherType = other };
    }

    private readonly EngineException Twice(string name, string field) =>
        Error($"tensor {Quote(name)}: {Quote(field)} occurs twice, wanted once");

    private (SafetensorsDtype Type, string? Other) ReadDtype(string name)
    {
        _json.Read();
        if (_json.TokenType != JsonTokenType.String)
            throw Error($"tensor {Quote(name)}: dtype: found {Found()}, wanted one of {SafetensorsDtypes.Known}");
        if (SafetensorsDtypes.TryRead(_json, out var dtype))
            return (dtype, null);
        // Whether this matters is known only once the model has said what it needs.
        return (SafetensorsDtype.Other, _json.GetString()!);
    }

    private long[] ReadShape(string name)
    {
        _json.Read();
        if (_json.TokenType != JsonTokenType.StartArray)
            throw Error($"tensor {Quote(name)}: shape: found {Found()}, wanted an array of whole numbers");
        Span<long> dims = stackalloc long[MaxDims];
        var count = 0;
        while (_json.Read() && _json.TokenType != JsonTokenType.EndArray)
        {
            if (count == MaxDims)
                throw Error($"tensor {Quote(name)}: shape: found more than {MaxDims} dimensions, wanted at most {MaxDims}");
            dims[count] = ReadCount(name, $"shape[{count}]");
            count++;
        }

        return dims[..count].ToArray();
    }

    private (long Begin, long End) ReadOffsets(string name)
    {
        _json.Read();
        if (_json.TokenType != JsonTokenType.StartArray)
            throw Error($"tensor {Quote(name)}: data_offsets: found {Found()}, wanted [begin, end]");
        _json.Read();
        var begin = ReadCount(name, "data_offsets[0]");
        _json.Read();
        var end = ReadCount(name, "data_offsets[1]");
        _json.Read();
        if (_json.TokenType != JsonTokenType.EndArray)
            throw Error($"tensor {Quote(name)}: data_offsets: found more than two numbers, wanted [begin, end]");
        return (begin, end);
    }

    private readonly long ReadCount(string name, string field)
    {
        if (_json.TokenType == JsonTokenType.Number && _json.TryGetUInt64(out var value) && value <= long.MaxValue)
            return (long)value;
        throw Error($"tensor {Quote(name)}: {field}: found {Found()}, wanted a whole number from 0 to {long.MaxValue}");
    }

    private readonly long? ByteSize(string name, SafetensorsDtype dtype, string? other, long[] shape)
    {
        // Left to right and overflow-checked as in the reference, so that a later 0 does not excuse an earlier overflow.
        try
        {
            long size = 1;
            foreach (var dim in shape)
                size = checked(size * dim);
            if (other is null)
                return checked(size * dtype.ByteSize());
            if (SafetensorsDtypes.BitsOfOther(other) is not { } bits)
                return null;
            var all = checked(size * bits);
            return all % 8 == 0 ? all / 8 : throw Error($"tensor {Quote(name)}: shape: [{string.Join(", ", shape)}] of {other} ends within a byte");
        }
        catch (OverflowException e)
        {
            throw EngineException.ModelFolder(
                _file,
                $"tensor {Quote(name)}: shape: [{string.Join(", ", shape)}] of {other ?? dtype.Name()} overflows 63 bits",
                e);
        }
    }

    private readonly string Found() => _json.TokenType switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "an array",
        JsonTokenType.EndArray => "the end of the array",
        JsonTokenType.String => Quote(_json.GetString()!),
        JsonTokenType.Number when _json.ValueSpan.Length > 40 => "a number of more than 40 digits",
        _ => Encoding.UTF8.GetString(_json.ValueSpan),
    };

    private readonly EngineException Error(string problem) => EngineException.ModelFolder(_file, problem);
}
