using TorchSharp;
using Xunit;
namespace LocalLlm.Tests;
public class Smoke
{
    [Fact]
    public void Torch_loads()
    {
        using var t = torch.zeros(3);
        Assert.Equal(3, t.numel());
    }
}
