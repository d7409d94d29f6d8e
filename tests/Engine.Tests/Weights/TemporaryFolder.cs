namespace LocalLlm.Tests.Weights;

/// <summary>A folder of its own for one test, removed at its end.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("localllm-").FullName;

    public string this[string file] => System.IO.Path.Combine(Path, file);

    public void Write(string file, string text) => File.WriteAllText(this[file], text);

    public void Write(string file, byte[] bytes) => File.WriteAllBytes(this[file], bytes);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
