using TorchSharp;

namespace LocalLlm.Interop;

/// <summary>Calls of operators by name through libtorch's C shim: how arguments lie on its stack, 8 bytes each.</summary>
internal static unsafe class TorchDispatcher
{
    private static readonly byte[] NoOverload = [0];

    /// <summary>A tensor argument. The dispatcher eats the handle that it is given, so it is given one of its own.</summary>
    public static ulong Argument(torch.Tensor tensor)
    {
        IntPtr owned;
        Check(TorchShim.aoti_torch_new_tensor_handle(tensor.Handle, &owned), "a tensor handle");
        return (ulong)owned;
    }

    /// <summary>An optional argument that is there; an absent one is 0. The block is freed by the callee.</summary>
    public static ulong Some(ulong value)
    {
        var box = TorchShim.OperatorNew(sizeof(ulong));
        *box = value;
        return (ulong)box;
    }

    /// <summary>Calls the operator; its results replace the first arguments.</summary>
    /// <param name="name">The operator, zero-terminated.</param>
    /// <param name="stack">Its arguments.</param>
    /// <param name="what">What failed, for the message.</param>
    /// <param name="overload">The operator's overload, zero-terminated; null: the one without a name.</param>
    /// <exception cref="InvalidOperationException">It failed.</exception>
    public static void Call(byte[] name, ulong* stack, string what, byte[]? overload = null)
    {
        fixed (byte* op = name)
        fixed (byte* which = overload ?? NoOverload)
            Check(TorchShim.aoti_torch_call_dispatcher(op, which, stack), what);
    }

    /// <summary>Throws unless <paramref name="status"/> is 0.</summary>
    public static void Check(int status, string what)
    {
        if (status != 0)
            throw new InvalidOperationException($"{what} failed; libtorch wrote the cause to the standard error stream.");
    }
}
