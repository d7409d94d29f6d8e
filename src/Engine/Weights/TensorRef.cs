namespace LocalLlm.Weights;

/// <summary>One tensor of a <see cref="Checkpoint"/>: its shard and its place there.</summary>
/// <param name="File">The shard; owned by the checkpoint.</param>
/// <param name="Info">Name, dtype, shape and place.</param>
internal readonly record struct TensorRef(IWeightFile File, TensorInfo Info);
