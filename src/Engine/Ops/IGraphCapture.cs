using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Work of the device, recorded once.</summary>
internal interface ICapturedGraph : IDisposable
{
    /// <summary>Does the recorded work again, on the inputs as they are now.</summary>
    void Launch();
}

/// <summary>A device that can record a step's work and repeat it at little cost.</summary>
internal interface IGraphCapture
{
    /// <summary>Changes whenever an operand has moved: graphs captured before must not be launched then.</summary>
    long Version { get; }

    /// <summary>
    /// As <see cref="IDeviceOps.BeginStep"/>, padded to <paramref name="rows"/> rows; padding rows write no keys and see nothing.
    /// </summary>
    Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata, int rows);

    /// <summary>
    /// The most rows whose product by a matrix can be recorded; 0: plain operations multiply, which allocate in every step.
    /// </summary>
    /// <param name="matrix">What is multiplied by.</param>
    /// <param name="type">Of the rows.</param>
    int MaxRows(IWeightMatrix matrix, ScalarType type) => int.MaxValue;

    /// <summary>
    /// Records what <paramref name="body"/> does. It must have run once before, so that everything is compiled and allocated.
    /// </summary>
    ICapturedGraph Capture(Action body);
}
