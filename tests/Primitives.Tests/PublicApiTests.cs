using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Primitives.Tests;

/// <summary>
/// The public surface is what the file in <c>Api</c> says: a change shows in review. To accept one, run the test with
/// <c>LOCALLLM_ACCEPT_API=1</c> and commit the file.
/// </summary>
public sealed class PublicApiTests
{
    [Fact]
    public void The_public_surface_is_the_reviewed_one()
    {
        var (accepted, actual) = PublicSurface.Compare(typeof(RegexParser).Assembly, "Primitives.Tests");
        Assert.Equal(accepted, actual);
    }
}
