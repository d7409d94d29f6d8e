using LocalLlm.Tool.Bench;
using Xunit;

namespace LocalLlm.Tool.Tests.Bench;

public class NanoVllmWorkloadTests
{
    // python3 -c "import random; random.seed(0); print([random.randint(0, 10000) for _ in range(5)], random.randint(100, 1024))"
    [Fact]
    public void The_generator_draws_what_pythons_does()
    {
        var random = new PythonRandom(0);
        Assert.Equal([6311, 6890, 663, 4242, 8376], Enumerable.Range(0, 5).Select(_ => random.Next(0, 10_000)));
        Assert.Equal(597, random.Next(100, 1024));
    }

    [Fact]
    public void The_workload_has_the_token_counts_that_nano_vllm_publishes()
    {
        var requests = NanoVllmWorkload.Create(151_936);
        Assert.Equal((256, 142_827, 133_966), (requests.Count, requests.Sum(request => request.Prompt.Length), requests.Sum(request => request.OutputLen)));
        Assert.All(NanoVllmWorkload.Create(100), request => Assert.All(request.Prompt, id => Assert.InRange(id, 0, 99)));
    }
}
