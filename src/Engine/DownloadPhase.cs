using LocalLlm.Hub;

namespace LocalLlm;

/// <summary>A download as a phase of loading.</summary>
internal sealed class DownloadPhase(ModelReference model, IProgress<LoadProgress>? progress) : IProgress<DownloadProgress>
{
    private readonly string _phase = $"downloading {model.Repository}";

    /// <inheritdoc/>
    public void Report(DownloadProgress value) => progress?.Report(new(_phase, value.BytesDone, value.BytesTotal));
}
