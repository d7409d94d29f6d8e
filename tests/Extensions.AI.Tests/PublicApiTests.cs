using System.Reflection;
using LocalLlm.Tests;
using Microsoft.SemanticKernel;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests;

/// <summary>
/// The public surface is what the files in <c>Api</c> say: a change shows in review. To accept one, run the tests with <c>LOCALLLM_ACCEPT_API=1</c> and commit the files.
/// </summary>
public sealed class PublicApiTests
{
    public static TheoryData<string> Assemblies => new() { typeof(LlmEngine).Assembly.GetName().Name!, typeof(LocalLlmChatClient).Assembly.GetName().Name!, typeof(LocalLlmPromptExecutionSettings).Assembly.GetName().Name! };

    [Theory]
    [MemberData(nameof(Assemblies))]
    public void The_public_surface_is_the_reviewed_one(string assembly)
    {
        var (accepted, actual) = PublicSurface.Compare(Assembly.Load(assembly), "Extensions.AI.Tests");
        Assert.Equal(accepted, actual);
    }
}
