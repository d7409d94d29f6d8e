namespace LocalLlm.Ops;

/// <summary>A matrix in the form that a device multiplies by: <see cref="LinearWeight"/> or <see cref="Fp8Weight"/>.</summary>
internal interface IWeightMatrix : IDisposable
{
    /// <summary>Elements of a result row.</summary>
    int OutFeatures { get; }

    /// <summary>Elements of an input row.</summary>
    int InFeatures { get; }
}
