using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace LocalLlm.Execution.Cluster;

/// <summary>What a message between nodes is.</summary>
internal enum NodeMessageKind : byte
{
    /// <summary>The first one, to node 0: who joins, with what (<see cref="NodeHello"/>).</summary>
    Hello = 1,

    /// <summary>From node 0: joined.</summary>
    Welcome = 2,

    /// <summary>From node 0: not joined, and why (<see cref="NodeEnd"/>). Readable in every version.</summary>
    Refused = 3,

    /// <summary>To node 0: what fits into the memory here (<see cref="MemoryPlan"/>).</summary>
    Planned = 4,

    /// <summary>From node 0: what fits everywhere (<see cref="MemoryPlan"/>, of which blocks, length and recorded rows count).</summary>
    Agreed = 5,

    /// <summary>To node 0: ready for steps (capabilities, <see cref="Wire.StepFormat"/>).</summary>
    Loaded = 6,

    /// <summary>From node 0: a step (<see cref="Wire.StepFormat"/>).</summary>
    Step = 7,

    /// <summary>From node 0: the result of the oldest step that was not asked for is wanted.</summary>
    Complete = 14,

    /// <summary>To node 0: the result of the oldest step (<see cref="Wire.StepFormat"/>).</summary>
    Result = 8,

    /// <summary>Rows of the residual stream, from a rank to one of the next stage (<see cref="ActivationMessage"/>).</summary>
    Activation = 9,

    /// <summary>Something that one rank creates and others need, such as the id of a group of GPUs (<see cref="SharedValue"/>).</summary>
    Shared = 10,

    /// <summary>Still there.</summary>
    Heartbeat = 11,

    /// <summary>The replica has failed, and why (<see cref="NodeEnd"/>).</summary>
    Abort = 12,

    /// <summary>The replica ends as it should.</summary>
    Goodbye = 13,
}

/// <summary>Messages between nodes as bytes: the version, the kind, and what the kind has.</summary>
internal static class NodeMessage
{
    /// <summary>Raised with every change of the messages. All nodes must have the same.</summary>
    public const byte Version = 1;

    /// <summary>Bytes before what the kind has.</summary>
    public const int HeaderBytes = 2;

    /// <summary>Still there.</summary>
    public static readonly byte[] Heartbeat = Of(NodeMessageKind.Heartbeat);

    /// <summary>A message.</summary>
    public static byte[] Of(NodeMessageKind kind, ReadOnlySpan<byte> content = default)
    {
        var message = new byte[HeaderBytes + content.Length];
        (message[0], message[1]) = (Version, (byte)kind);
        content.CopyTo(message.AsSpan(HeaderBytes));
        return message;
    }

    /// <summary>A message of JSON.</summary>
    public static byte[] Of<T>(NodeMessageKind kind, T content, JsonTypeInfo<T> type) => Of(kind, JsonSerializer.SerializeToUtf8Bytes(content, type));

    /// <summary>The kind and what it has.</summary>
    /// <exception cref="InvalidDataException">Another version, or no message.</exception>
    public static (NodeMessageKind Kind, ReadOnlyMemory<byte> Content) Read(ReadOnlyMemory<byte> message)
    {
        var bytes = message.Span;
        if (bytes.Length < HeaderBytes)
            throw new InvalidDataException($"it sent a message of {bytes.Length} bytes, which is none of the control stream's");
        var kind = (NodeMessageKind)bytes[1];
        if (bytes[0] != Version && kind != NodeMessageKind.Refused)
            throw new InvalidDataException($"it speaks version {bytes[0]} of the control stream, and this build version {Version}: run the same build on all nodes");
        return (kind, message[HeaderBytes..]);
    }

    /// <summary>The JSON of a message.</summary>
    /// <exception cref="InvalidDataException">It is something else.</exception>
    public static T Read<T>(ReadOnlyMemory<byte> content, JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize(content.Span, type) ?? throw new InvalidDataException($"it sent null in the place of a {typeof(T).Name}");
        }
        catch (JsonException malformed)
        {
            throw new InvalidDataException($"it sent something else in the place of a {typeof(T).Name}: {malformed.Message}", malformed);
        }
    }
}
