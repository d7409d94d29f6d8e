using Xunit.Sdk;
using Xunit.v3;

// Most tests load an engine, which takes every core.
[assembly: Parallelization(Mode = ParallelMode.None)]
