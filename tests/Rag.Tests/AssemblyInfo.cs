using LocalLlm.Samples.Rag.Tests;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

// The engines take every core.
[assembly: Parallelization(Mode = ParallelMode.None)]
[assembly: AssemblyFixture(typeof(ShippedRag))]
