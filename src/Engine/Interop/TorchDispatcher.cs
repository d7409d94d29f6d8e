using TorchSharp;

namespace LocalLlm.Interop;

/// <summary>Calls operators by name through libtorch's C shim. Arguments are on its stack, 8 bytes each.</summary>
internal static unsafe class TorchDispatcher
{
    private static readonly byte[] NoOverload = [0];

    /// <summary>A tensor argument. The dispatcher takes ownership of the handle, so it gets a new one.</summary>
    public static ulong Argument(torch.Tensor tensor)
    {
        IntPtr owned;
        Check(TorchShim.aoti_torch_new_tensor_handle(tensor.Handle, &owned), "a tensor handle");
        return (ulong)owned;
    }

    /// <summary>An optional argument with a value; an absent one is 0. The callee frees the block.</summary>
    public static ulong Some(ulong value)
    {
        var box = TorchShim.OperatorNew(sizeof(ulong));
        *box = value;
        return (ulong)box;
    }

    /// <summary>Calls the operator; its results replace the first arguments.</summary>
    /// <param name="name">The operator, zero-terminated.</param>
    /// <param name="stack">Its arguments.</param>
    /// <param name="what">The name of the operation, for the message.</param>
    /// <param name="overload">The operator's overload, zero-terminated; null: the unnamed one.</param>
    /// <exception cref="InvalidOperationException">The call failed.</exception>
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
