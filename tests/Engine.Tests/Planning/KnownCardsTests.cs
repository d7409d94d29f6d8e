using LocalLlm.Ops.Cuda;
using LocalLlm.Planning;
using Xunit;

namespace LocalLlm.Tests.Planning;

public class KnownCardsTests
{
    [Theory]
    [InlineData("T4", "T4")]
    [InlineData("Tesla T4", "T4")]
    [InlineData("a100-80g", "A100-80G")]
    [InlineData("A100 80GB", "A100-80G")]
    [InlineData("NVIDIA A100-SXM4-80GB", "A100-80G")]
    [InlineData("NVIDIA GeForce RTX 4090", "RTX4090")]
    [InlineData("rtx_3090", "RTX3090")]
    [InlineData("h100", "H100-80G")]
    [InlineData("NVIDIA H200", "H200-141G")]
    [InlineData("H20", "H20-96G")]
    [InlineData("B200", "B200-180G")]
    [InlineData("l40s", "L40S")]
    public void A_card_is_found_however_its_name_is_written(string name, string card) => Assert.Equal(card, KnownCards.Find(name).Name);

    // The names that drivers report.
    [Theory]
    [InlineData("NVIDIA H100 80GB HBM3", "H100-80G")]
    [InlineData("NVIDIA H100 PCIe", "H100-PCIe-80G")]
    [InlineData("NVIDIA H100 NVL", "H100-NVL-94G")]
    [InlineData("NVIDIA H200", "H200-141G")]
    [InlineData("NVIDIA H200 NVL", "H200-141G")]
    [InlineData("NVIDIA H20", "H20-96G")]
    [InlineData("NVIDIA H800", "H800-80G")]
    [InlineData("NVIDIA B200", "B200-180G")]
    [InlineData("NVIDIA A100-PCIE-40GB", "A100-40G")]
    [InlineData("NVIDIA A100-SXM4-40GB", "A100-40G")]
    [InlineData("NVIDIA A100-SXM4-80GB", "A100-80G")]
    [InlineData("NVIDIA A100 80GB PCIe", "A100-PCIe-80G")]
    [InlineData("NVIDIA A800-SXM4-80GB", "A800-80G")]
    [InlineData("NVIDIA A800 80GB PCIe", "A800-80G")]
    [InlineData("Tesla V100-SXM2-16GB", "V100-16G")]
    [InlineData("Tesla V100-SXM2-32GB", "V100-32G")]
    [InlineData("Tesla V100-SXM3-32GB", "V100-32G")]
    [InlineData("Tesla V100-PCIE-16GB", "V100-16G")]
    [InlineData("Tesla V100-PCIE-32GB", "V100-32G")]
    [InlineData("Tesla T4", "T4")]
    [InlineData("NVIDIA L4", "L4")]
    [InlineData("NVIDIA L40", "L40")]
    [InlineData("NVIDIA L40S", "L40S")]
    [InlineData("NVIDIA A10", "A10")]
    [InlineData("NVIDIA A10G", "A10G")]
    [InlineData("NVIDIA A30", "A30")]
    [InlineData("NVIDIA A40", "A40")]
    [InlineData("NVIDIA RTX A6000", "RTXA6000")]
    [InlineData("NVIDIA RTX 6000 Ada Generation", "RTX6000Ada")]
    [InlineData("NVIDIA GeForce RTX 3090", "RTX3090")]
    [InlineData("NVIDIA GeForce RTX 4090", "RTX4090")]
    [InlineData("NVIDIA GeForce RTX 5090", "RTX5090")]
    public void A_card_is_known_by_its_drivers_name(string name, string card) => Assert.Equal(card, KnownCards.TryFind(name)?.Name);

    [Theory]
    [InlineData("A100", "may be A100-40G or A100-80G or A100-PCIe-80G")]
    [InlineData("v100", "may be V100-16G or V100-32G")]
    [InlineData("MI300X", "is not known")]
    [InlineData("", "is not known")]
    public void An_unknown_name_is_refused_with_all_names(string name, string says)
    {
        var refusal = Assert.Throws<EngineException>(() => KnownCards.Find(name));
        Assert.Equal((EngineErrorKind.InvalidOptions, "gpu"), (refusal.Kind, refusal.Parameter));
        Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
        Assert.All(KnownCards.All, card => Assert.Contains(card.Name, refusal.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void Names_are_unique_and_found()
    {
        Assert.Equal(KnownCards.All.Count, KnownCards.All.Select(card => card.Name.ToUpperInvariant()).Distinct().Count());
        Assert.All(KnownCards.All, card => Assert.Equal(card, KnownCards.Find(card.Name)));
    }

    // What drivers report: a T4 has 15,360 MiB of its 16 GB, an A100 81,920 MiB less what the driver keeps.
    [Theory]
    [InlineData("T4", 14.5, 15.0)]
    [InlineData("A10", 21.9, 22.5)]
    [InlineData("A100-80G", 79.0, 79.3)]
    [InlineData("H200", 139.2, 140.4)]
    [InlineData("B200", 178.0, 179.1)]
    public void A_programs_memory_is_less_than_the_data_sheets(string name, double least, double most) =>
        Assert.InRange(KnownCards.Find(name).MemoryBytes / (double)(1L << 30), least, most);

    [Fact]
    public void Older_cards_lack_types()
    {
        Assert.False(KnownCards.Find("T4").HasBFloat16);
        Assert.Contains("float16", KnownCards.Find("T4").Types, StringComparison.Ordinal);
        Assert.True(KnownCards.Find("A100-80G") is { HasBFloat16: true, HasFloat8: false });
    }

    // As with WarpgroupProducts, whose kernels are for one architecture.
    [Fact]
    public void Eight_bit_floats_are_multiplied_on_Hopper_alone()
    {
        foreach (var card in KnownCards.All)
        {
            Assert.Equal(card.ComputeCapability == CudaDevice.Hopper, card.HasFloat8);
            Assert.Equal(card.HasFloat8, card.Types.Contains("float8", StringComparison.Ordinal));
        }

        Assert.Contains(KnownCards.All, card => card.HasFloat8);
    }
}
