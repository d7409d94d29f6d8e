using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Recorded work of a device.</summary>
internal interface ICapturedGraph : IDisposable
{
    /// <summary>Repeats the recorded work on the current inputs.</summary>
    void Launch();
}

/// <summary>A device that can record a step's work and repeat it at little cost.</summary>
internal interface IGraphCapture
{
    /// <summary>Changes whenever an operand has moved. Graphs captured before that must not be launched any more.</summary>
    long Version { get; }

    /// <summary>
    /// As <see cref="IDeviceOps.BeginStep"/>, padded to <paramref name="rows"/> rows. Padding rows write no keys and attend to nothing.
    /// </summary>
    Tensor BeginStep(ReadOnlySpan<int> inputIds, AttentionMetadata metadata, int rows);

    /// <summary>
    /// Max number of rows whose product by a matrix can be recorded; 0: none, since plain operations allocate in every step.
    /// </summary>
    /// <param name="matrix">The matrix.</param>
    /// <param name="type">Type of the rows.</param>
    int MaxRows(IWeightMatrix matrix, ScalarType type) => int.MaxValue;

    /// <summary>
    /// Records what <paramref name="body"/> does. The body must have run once before: that compiles and allocates all it needs.
    /// </summary>
    ICapturedGraph Capture(Action body);
}
