using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace LocalLlm.Server.OpenAI;

/// <summary>A vector in its wire format: a list of numbers, or base64 of little-endian floats.</summary>
/// <param name="Values">The numbers.</param>
/// <param name="IsBase64">Whether to send base64.</param>
[JsonConverter(typeof(Converter))]
internal readonly record struct EmbeddingVector(IReadOnlyList<float> Values, bool IsBase64)
{
    // A large request has millions of numbers: do not allocate an object for each.
    internal sealed class Converter : JsonConverter<EmbeddingVector>
    {
        public override EmbeddingVector Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => throw new NotSupportedException("Vectors are only sent.");

        public override void Write(Utf8JsonWriter writer, EmbeddingVector value, JsonSerializerOptions options)
        {
            if (value.IsBase64)
            {
                var bytes = new byte[value.Values.Count * sizeof(float)];
                for (var i = 0; i < value.Values.Count; i++)
                    BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), value.Values[i]);
                writer.WriteBase64StringValue(bytes);
                return;
            }

            writer.WriteStartArray();
            foreach (var number in value.Values)
                writer.WriteNumberValue(number);
            writer.WriteEndArray();
        }
    }
}
