using TorchSharp;
using Xunit;

namespace LocalLlm.Tests;

public class SmokeTests
{
    [Fact]
    public void The_native_libraries_load()
    {
        using var tensor = torch.zeros(3);
        Assert.Equal(3, tensor.numel());
    }
}
