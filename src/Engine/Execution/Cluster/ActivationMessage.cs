using System.Buffers.Binary;
using static TorchSharp.torch;

namespace LocalLlm.Execution.Cluster;

/// <summary>
/// Rows of the residual stream on their way to the next stage. Long ones travel in parts, so that heartbeats pass between them.
/// </summary>
/// <param name="From">The rank that sends.</param>
/// <param name="To">The rank that receives.</param>
/// <param name="FirstRow">The first of these rows.</param>
/// <param name="Rows">How many.</param>
/// <param name="Width">Elements of a row.</param>
/// <param name="Type">Of the elements.</param>
internal readonly record struct ActivationMessage(int From, int To, int FirstRow, int Rows, int Width, ScalarType Type)
{
    /// <summary>Bytes before the rows.</summary>
    public const int HeaderBytes = (6 * sizeof(int));

    /// <summary>Bytes of one part at most, unless a row is longer.</summary>
    public const int PartBytes = 1 << 20;

    /// <summary>A whole message with room for the rows.</summary>
    public byte[] ToMessage(int bytes)
    {
        var message = new byte[NodeMessage.HeaderBytes + HeaderBytes + bytes];
        (message[0], message[1]) = (NodeMessage.Version, (byte)NodeMessageKind.Activation);
        var header = message.AsSpan(NodeMessage.HeaderBytes);
        int[] fields = [From, To, FirstRow, Rows, Width, (int)Type];
        for (var i = 0; i < fields.Length; i++)
            BinaryPrimitives.WriteInt32LittleEndian(header[(i * sizeof(int))..], fields[i]);
        return message;
    }

    /// <summary>Reads what stands before the rows.</summary>
    /// <exception cref="InvalidDataException">It is too short.</exception>
    public static ActivationMessage Read(ReadOnlySpan<byte> content)
    {
        if (content.Length < HeaderBytes)
            throw new InvalidDataException($"it sent an activation of {content.Length} bytes");
        return new(Field(content, 0), Field(content, 1), Field(content, 2), Field(content, 3), Field(content, 4), (ScalarType)Field(content, 5));
    }

    private static int Field(ReadOnlySpan<byte> content, int index) => BinaryPrimitives.ReadInt32LittleEndian(content[(index * sizeof(int))..]);
}
