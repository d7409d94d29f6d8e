using System.Text.Json;
using LocalLlm.Primitives;

namespace LocalLlm.Weights;

/// <summary>
/// Reads the small files of a model folder with <see cref="UntrustedFile"/> and <see cref="UntrustedJson"/>. Only this class turns their
/// errors into an <see cref="EngineException"/> of kind <see cref="EngineErrorKind.ModelFolder"/>.
/// </summary>
internal static class ModelFolderFile
{
    /// <inheritdoc cref="UntrustedJson.ReadBytes"/>
    public static byte[] ReadJson(string folder, string file, int maxBytes) => Checked(() => UntrustedJson.ReadBytes(folder, file, maxBytes));

    /// <inheritdoc cref="UntrustedJson.ParseObject"/>
    public static JsonDocument ParseObject(string file, ReadOnlyMemory<byte> utf8) => Checked(() => UntrustedJson.ParseObject(file, utf8));

    /// <inheritdoc cref="UntrustedFile.Length"/>
    public static long? Length(string path) => UntrustedFile.Length(path);

    /// <inheritdoc cref="UntrustedFile.ReadBytes"/>
    public static byte[] ReadBytes(string path, string file, int maxBytes, string wanted) => Checked(() => UntrustedFile.ReadBytes(path, file, maxBytes, wanted));

    /// <summary>Runs a reader of untrusted files.</summary>
    /// <exception cref="EngineException">The reader refused a file.</exception>
    public static T Checked<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (UntrustedFileException refusal)
        {
            throw EngineException.ModelFolder(refusal.File, refusal.Problem, refusal.InnerException);
        }
    }
}
