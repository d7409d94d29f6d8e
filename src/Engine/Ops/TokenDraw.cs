namespace LocalLlm.Ops;

/// <summary>How one row's token is chosen where the device does it.</summary>
/// <param name="Uniform">In [0, 1): the place in the cumulative distribution.</param>
/// <param name="InverseTemperature">Factor on the logits; 0: the largest logit, the lowest id among equals.</param>
internal readonly record struct TokenDraw(double Uniform, double InverseTemperature);
