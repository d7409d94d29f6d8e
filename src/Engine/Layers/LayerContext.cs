using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>What every layer is built with.</summary>
/// <param name="Ops">The device's operations.</param>
/// <param name="Collectives">The tensor-parallel group.</param>
/// <param name="Weights">Where the layer registers the tensors that it needs.</param>
/// <param name="ActivationType">Type of activations and of the KV cache.</param>
internal sealed record LayerContext(IDeviceOps Ops, ICollectives Collectives, WeightRegistry Weights, ScalarType ActivationType);
