using TorchSharp;

namespace LocalLlm.Interop;

/// <summary>
/// Arithmetic with numbers, and sums, to be used instead of TorchSharp's own. TorchSharp wraps a number in a <see cref="Scalar"/>, passes
/// its address to libtorch and forgets it. A garbage collection at that moment frees it under the running operation, which then fails or
/// computes with another number. The sum of two tensors is affected too, because it has a hidden factor. Here the number lives until the
/// operation is over. <c>ScalarLifetimeTests</c> finds calls that bypass this class.
/// </summary>
internal static class TensorMath
{
    // Never collected, and never disposed.
    private static readonly Scalar One = 1;

    /// <summary>x + y, as a new tensor.</summary>
    public static torch.Tensor Plus(this torch.Tensor x, torch.Tensor y) => x.add(y, One);

    /// <summary>x + number, as a new tensor.</summary>
    public static torch.Tensor Plus(this torch.Tensor x, Scalar number) => With(number, x, static (x, number) => x.add(number, One));

    /// <summary>x += y, in place; returns x.</summary>
    public static torch.Tensor AddInPlace(this torch.Tensor x, torch.Tensor y) => x.add_(y, One);

    /// <summary>x − number, as a new tensor.</summary>
    public static torch.Tensor Minus(this torch.Tensor x, Scalar number) => With(number, x, static (x, number) => x.sub(number));

    /// <summary>x · number, as a new tensor.</summary>
    public static torch.Tensor Times(this torch.Tensor x, Scalar number) => With(number, x, static (x, number) => x.mul(number));

    /// <summary>x *= number, in place; returns x.</summary>
    public static torch.Tensor MultiplyInPlace(this torch.Tensor x, Scalar number) => With(number, x, static (x, number) => x.mul_(number));

    /// <summary>x / number, as a new tensor.</summary>
    public static torch.Tensor DividedBy(this torch.Tensor x, Scalar number) => With(number, x, static (x, number) => x.div(number));

    /// <summary>x², as a new tensor.</summary>
    public static torch.Tensor Squared(this torch.Tensor x) => x.mul(x);

    /// <summary>Where x &lt; number.</summary>
    public static torch.Tensor IsLess(this torch.Tensor x, Scalar number) => With(number, x, static (x, number) => x.lt(number));

    /// <summary>Where x ≥ number.</summary>
    public static torch.Tensor IsAtLeast(this torch.Tensor x, Scalar number) => With(number, x, static (x, number) => x.ge(number));

    /// <summary>Where x = number.</summary>
    public static torch.Tensor IsEqual(this torch.Tensor x, Scalar number) => With(number, x, static (x, number) => x.eq(number));

    /// <summary>Adds rows of <paramref name="source"/> to rows of x, in place; returns x.</summary>
    public static torch.Tensor IndexAddInPlace(this torch.Tensor x, torch.Tensor index, torch.Tensor source) => x.index_add_(0, index, source, One);

    /// <summary>x with the number wherever the mask is set, as a new tensor.</summary>
    public static torch.Tensor MaskedFill(this torch.Tensor x, torch.Tensor mask, Scalar number)
    {
        using (number)
            return x.masked_fill(mask, number);
    }

    /// <summary>
    /// The integers from <paramref name="start"/> up to, but not including, <paramref name="end"/>: [end − start] int64.
    /// </summary>
    public static torch.Tensor Range(long start, long end, torch.Device device)
    {
        using Scalar first = start;
        using Scalar stop = end;
        return torch.arange(first, stop, One, torch.ScalarType.Int64, device);
    }

    private static torch.Tensor With(Scalar number, torch.Tensor x, Func<torch.Tensor, Scalar, torch.Tensor> operation)
    {
        using (number)
            return operation(x, number);
    }
}
