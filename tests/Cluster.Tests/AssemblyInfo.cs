// Every test loads models or starts processes.
[assembly: Xunit.CollectionBehavior(DisableTestParallelization = true)]
