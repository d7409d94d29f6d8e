using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace LocalLlm.Execution.Wire;

/// <summary>
/// Steps, results and capabilities as bytes, for executors on the other side of a pipe or a network: JSON in UTF-8 behind one byte of
/// <see cref="Version"/>. The fields are those of the types, in snake case (docs/step-format.md). Serializers are generated; no type is
/// chosen by what is read.
/// </summary>
internal static class StepFormat
{
    /// <summary>Raised with every change of the format. Both sides must have the same.</summary>
    public const byte Version = 7;

    /// <summary>A step as bytes.</summary>
    public static byte[] Encode(SchedulerOutput step) => Encode(step, StepJsonContext.Default.SchedulerOutput);

    /// <summary>A result as bytes.</summary>
    public static byte[] Encode(StepResult result) => Encode(result, StepJsonContext.Default.StepResult);

    /// <summary>Capabilities as bytes.</summary>
    public static byte[] Encode(ExecutorCapabilities capabilities) => Encode(capabilities, StepJsonContext.Default.ExecutorCapabilities);

    /// <summary>Reads a step.</summary>
    /// <exception cref="InvalidDataException">Another version, or not a step.</exception>
    public static SchedulerOutput DecodeStep(ReadOnlySpan<byte> bytes) => Decode(bytes, StepJsonContext.Default.SchedulerOutput);

    /// <summary>Reads a result.</summary>
    /// <exception cref="InvalidDataException">Another version, or not a result.</exception>
    public static StepResult DecodeResult(ReadOnlySpan<byte> bytes) => Decode(bytes, StepJsonContext.Default.StepResult);

    /// <summary>Reads capabilities.</summary>
    /// <exception cref="InvalidDataException">Another version, or not capabilities.</exception>
    public static ExecutorCapabilities DecodeCapabilities(ReadOnlySpan<byte> bytes) => Decode(bytes, StepJsonContext.Default.ExecutorCapabilities);

    private static byte[] Encode<T>(T value, JsonTypeInfo<T> type)
    {
        using var stream = new MemoryStream();
        stream.WriteByte(Version);
        JsonSerializer.Serialize(stream, value, type);
        return stream.ToArray();
    }

    private static T Decode<T>(ReadOnlySpan<byte> bytes, JsonTypeInfo<T> type)
        where T : class
    {
        if (bytes.IsEmpty || bytes[0] != Version)
        {
            throw new InvalidDataException(
                $"The message has format version {(bytes.IsEmpty ? "none" : bytes[0])}; this build reads {Version}. Run the same build on both sides.");
        }

        try
        {
            return JsonSerializer.Deserialize(bytes[1..], type) ?? throw new InvalidDataException($"The message is null, not a {type.Type.Name}.");
        }
        catch (JsonException malformed)
        {
            throw new InvalidDataException($"The message is not a {type.Type.Name}: {malformed.Message}", malformed);
        }
    }
}
