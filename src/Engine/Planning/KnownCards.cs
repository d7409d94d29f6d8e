using System.Text;

namespace LocalLlm.Planning;

/// <summary>
/// NVIDIA's cards by name. Memory and bandwidth come from the vendor's data sheets: of the SXM form where there are several, and for a B200
/// an eighth of a DGX B200's 1,440 GB. Compute capabilities come from NVIDIA's list.
/// </summary>
public static class KnownCards
{
    // A program can use less than the data sheet says. On GDDR memory, error correction takes a sixteenth; it is on by default on the cards
    // marked so (nvidia-smi shows 15,360 MiB for a T4's 16 GB). The driver keeps about a hundredth.
    private const double WithoutErrorCorrection = 15.0 / 16;
    private const double WithoutDriver = 0.99;

    private static readonly Entry[] s_entries =
    [
        new("T4", 16, 320, 75) { Corrects = true },
        new("V100-16G", 16, 900, 70) { Aliases = ["V100-PCIE-16GB"] },
        new("V100-32G", 32, 900, 70) { Aliases = ["V100-PCIE-32GB"] },
        new("A10", 24, 600, 86) { Corrects = true },
        new("A10G", 24, 600, 86) { Corrects = true },
        new("A30", 24, 933, 80),
        new("A40", 48, 696, 86) { Corrects = true },
        new("L4", 24, 300, 89) { Corrects = true },
        new("L40", 48, 864, 89) { Corrects = true },
        new("L40S", 48, 864, 89) { Corrects = true },
        new("RTX3090", 24, 936, 86) { Aliases = ["3090"] },
        new("RTX4090", 24, 1008, 89) { Aliases = ["4090"] },
        new("RTX5090", 32, 1792, 120) { Aliases = ["5090"] },
        new("RTXA6000", 48, 768, 86) { Aliases = ["A6000"] },
        new("RTX6000Ada", 48, 960, 89) { Aliases = ["RTX 6000 Ada Generation"] },
        new("A100-40G", 40, 1555, 80) { Aliases = ["A100-PCIE-40GB"] },
        new("A100-80G", 80, 2039, 80),
        new("A100-PCIe-80G", 80, 1935, 80) { Aliases = ["A100 80GB PCIe"] },
        new("A800-80G", 80, 2039, 80) { Aliases = ["A800", "A800 80GB PCIe"] },
        new("H100-80G", 80, 3350, 90) { Aliases = ["H100"] },
        new("H100-PCIe-80G", 80, 2000, 90) { Aliases = ["H100-PCIe"] },
        new("H100-NVL-94G", 94, 3900, 90) { Aliases = ["H100-NVL", "H100-94G"] },
        new("H800-80G", 80, 3350, 90) { Aliases = ["H800"] },
        new("H20-96G", 96, 4000, 90) { Aliases = ["H20"] },
        new("H200-141G", 141, 4800, 90) { Aliases = ["H200", "H200 NVL"] },
        new("B200-180G", 180, 8000, 100) { Aliases = ["B200", "B200-192G"] },
    ];

    /// <summary>All known cards.</summary>
    public static IReadOnlyList<GpuCard> All { get; } = [.. s_entries.Select(entry => entry.Card)];

    /// <summary>Finds a card by name, ignoring case, spaces and hyphens: <c>a100 80gb</c> is <c>A100-80G</c>.</summary>
    /// <exception cref="EngineException">InvalidOptions, parameter <c>gpu</c>: no card matches, or several do; the message lists all
    /// names.</exception>
    public static GpuCard Find(string name)
    {
        if (TryFind(name) is { } found)
            return found;
        var key = Key(name);
        var several = s_entries.Where(entry => key.Length > 1 && Key(entry.Card.Name).StartsWith(key, StringComparison.Ordinal)).Select(entry => entry.Card.Name).ToArray();
        var why = several.Length > 1 ? $"may be {string.Join(" or ", several)}; name one of them" : "is not known; give the size of its memory instead (--gpu-memory 80GiB), or one of";
        throw new EngineException(
            EngineErrorKind.InvalidOptions, $"gpu '{name}' {why}{(several.Length > 1 ? ". All names" : "")}: {string.Join(", ", All.Select(card => card.Name))}.", "gpu");
    }

    /// <summary>Finds a card by name, including names that drivers report; null: no card matches, or several do.</summary>
    internal static GpuCard? TryFind(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var key = Key(name);
        return s_entries.FirstOrDefault(entry => entry.Aliases.Prepend(entry.Name).Any(known => Key(known) == key))?.Card;
    }

    private static string Key(string name)
    {
        var key = new StringBuilder();
        foreach (var letter in name.ToUpperInvariant().Where(char.IsAsciiLetterOrDigit))
            key.Append(letter);
        foreach (var maker in (string[])["NVIDIA", "TESLA", "GEFORCE"])
            key.Replace(maker, "");
        var text = key.ToString();
        // Names of data centre cards often contain their form factor, and those of newer cards the kind of memory. Longer words come first.
        foreach (var word in (string[])["SXM2", "SXM3", "SXM4", "SXM5", "SXM", "HBM2E", "HBM2", "HBM3E", "HBM3"])
            text = text.Replace(word, "", StringComparison.Ordinal);
        return text.EndsWith("GB", StringComparison.Ordinal) ? text[..^1] : text;
    }

    // Gigabytes and gigabytes per second as in the data sheet.
    private sealed record Entry(string Name, int Gigabytes, int GigabytesPerSecond, int Capability)
    {
        public bool Corrects { get; init; }

        public string[] Aliases { get; init; } = [];

        // Memory chips come in powers of two, so a data sheet's GB of memory are GiB; its GB/s are not GiB/s.
        public GpuCard Card => new(Name, (long)(((long)Gigabytes << 30) * (Corrects ? WithoutErrorCorrection : 1) * WithoutDriver))
        {
            BytesPerSecond = GigabytesPerSecond * 1e9, ComputeCapability = Capability,
        };
    }
}
