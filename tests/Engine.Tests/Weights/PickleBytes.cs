using System.Buffers.Binary;
using System.Text;

namespace LocalLlm.Tests.Weights;

/// <summary>Writes a pickle opcode by opcode, good or bad.</summary>
internal sealed class PickleBytes
{
    private readonly List<byte> _bytes = [];

    /// <summary>A pickle of protocol 2.</summary>
    public static PickleBytes Start() => new PickleBytes().Raw(0x80, 2);

    public byte[] ToArray() => [.. _bytes];

    public byte[] Stop() => Op('.').ToArray();

    public PickleBytes Raw(params byte[] bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public PickleBytes Op(string opcodes)
    {
        foreach (var opcode in opcodes)
            _bytes.Add((byte)opcode);
        return this;
    }

    public PickleBytes Op(char opcode) => Raw((byte)opcode);

    public PickleBytes Times(int count, Action<PickleBytes> part)
    {
        for (var i = 0; i < count; i++)
            part(this);
        return this;
    }

    public PickleBytes Global(string module, string name) => Op('c').Raw(Encoding.UTF8.GetBytes($"{module}\n{name}\n"));

    public PickleBytes Text(string text) => Text(Encoding.UTF8.GetBytes(text));

    public PickleBytes Text(byte[] utf8) => Op('X').Raw(BitConverter.GetBytes(utf8.Length)).Raw(utf8);

    public PickleBytes Short(string text) => Raw(0x8c, (byte)text.Length).Raw(Encoding.UTF8.GetBytes(text));

    public PickleBytes Int(long value)
    {
        if (value is >= 0 and < 256)
            return Op('K').Raw((byte)value);
        if (value is >= int.MinValue and <= int.MaxValue)
            return Op('J').Raw(BitConverter.GetBytes((int)value));
        var bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return Raw(0x8a, 8).Raw(bytes);
    }

    public PickleBytes Tuple(params long[] numbers)
    {
        Op('(');
        foreach (var number in numbers)
            Int(number);
        return Op('t');
    }

    public PickleBytes OrderedDict() => Global("collections", "OrderedDict").Op(")R");

    /// <summary>A persistent id.</summary>
    public PickleBytes Storage(string type, string key, long count) =>
        Op('(').Text("storage").Global(type == "UntypedStorage" ? "torch.storage" : "torch", type).Text(key).Text("cpu").Int(count).Op("tQ");

    /// <summary>A call of _rebuild_tensor_v2 on a storage.</summary>
    public PickleBytes Tensor(string type, string key, long count, long offset, long[] shape, long[] strides) =>
        Global("torch._utils", "_rebuild_tensor_v2").Op('(').Storage(type, key, count).Int(offset).Tuple(shape).Tuple(strides).Raw(0x89).OrderedDict().Op("tR");
}
