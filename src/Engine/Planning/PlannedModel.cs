using System.Globalization;
using LocalLlm.Hub;
using LocalLlm.Weights;

namespace LocalLlm.Planning;

/// <summary>The sizes of a model to plan for: from a folder, with or without weights, or from a repository.</summary>
/// <param name="Parts">The weights.</param>
/// <param name="Headers">The sizes in the headers of the files; null: none were read.</param>
/// <param name="SizesFrom">Where the sizes come from.</param>
/// <param name="Notes">Remarks on them for the user.</param>
internal sealed record PlannedModel(ModelParts Parts, HeaderSizes? Headers, string SizesFrom, IReadOnlyList<string> Notes)
{
    /// <summary>Max bytes to fetch from a repository: less than a million.</summary>
    public const long MaxFetchedBytes = 950_000;

    private const string ConfigOnly = "config.json";

    /// <summary>Reads the configuration; no weights are read.</summary>
    /// <param name="options">A folder or a repository.</param>
    /// <param name="hub">The hub's options.</param>
    /// <param name="cancellationToken">Stops.</param>
    /// <exception cref="EngineException">config.json is missing or malformed, or the hub or the network failed.</exception>
    public static async Task<PlannedModel> ReadAsync(EngineOptions options, HubOptions hub, CancellationToken cancellationToken)
    {
        if (ModelReference.Remote(options.ModelPath) is not { } model)
            return OfFolder(HubCache.Resolve(options.ModelPath));
        if (hub.Offline)
            return OfFolder(await ModelHub.ResolveAsync(model, hub with { AllowPatterns = [ConfigOnly] }, null, cancellationToken).ConfigureAwait(false));
        var remote = await ModelHub.ReadSizesAsync(model, hub, MaxFetchedBytes, cancellationToken).ConfigureAwait(false);
        var fetched = string.Create(CultureInfo.InvariantCulture, $"{remote.FetchedBytes:N0} bytes fetched");
        var shape = ModelShapeReader.Parse(remote.Config);
        if (remote.Headers is null)
        {
            var files = remote.WeightFileBytes is { } bytes && remote.WeightFiles > 0
                ? string.Create(CultureInfo.InvariantCulture, $"; the files have {bytes / 1e9:N2} GB together") : "";
            return Of(shape, null, $"{ConfigOnly} ({fetched})", [$"{remote.Note}: the sizes are those of {ConfigOnly}{files}"]);
        }

        var tensors = remote.Headers.SelectMany(header => SafetensorsHeader.Parse(header.File, header.Json, header.FileLength).Tensors.Values);
        return Of(shape, tensors, $"{ConfigOnly} and the headers of {Files(remote.Headers.Count)} ({fetched})", []);
    }

    private static PlannedModel OfFolder(string folder)
    {
        var shape = ModelShapeReader.Load(folder);
        var files = Directory.EnumerateFiles(folder, "*.safetensors").Count();
        if (files == 0)
            return Of(shape, null, ConfigOnly, []);
        try
        {
            using var checkpoint = Checkpoint.Open(folder);
            return Of(shape, checkpoint.Tensors.Values.Select(tensor => tensor.Info), $"{ConfigOnly} and the headers of {Files(checkpoint.Files.Count)}", []);
        }
        catch (EngineException failure)
        {
            return Of(shape, null, ConfigOnly, [$"the sizes are those of {ConfigOnly}, for the weights cannot be read: {failure.Message.TrimEnd('.')}"]);
        }
    }

    private static PlannedModel Of(ModelShape shape, IEnumerable<TensorInfo>? tensors, string from, IReadOnlyList<string> notes)
    {
        var parts = new ModelParts(shape);
        if (tensors is null)
            return new(parts, null, from, notes);
        var headers = HeaderSizes.Of(tensors, shape);
        var beyond = headers.Elements - parts.Parameters;
        if (beyond == 0)
            return new(parts, headers, from, notes);
        var note = string.Create(
            CultureInfo.InvariantCulture,
            $"the files hold {headers.Elements:N0} parameters, but {ConfigOnly} implies {parts.Parameters:N0}: {(beyond > 0 ? "the plan adds the difference to every rank" : "the plan uses the larger number")}");
        return new(new(shape) { ExtraElementsPerLayer = Math.Max(0, (beyond + shape.Layers - 1) / shape.Layers) }, headers, from, [.. notes, note]);
    }

    private static string Files(int count) => count == 1 ? "1 file" : $"{count} files";
}
