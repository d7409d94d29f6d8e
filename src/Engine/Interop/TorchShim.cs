using System.Runtime.InteropServices;

namespace LocalLlm.Interop;

/// <summary>
/// libtorch's stable C interface. A TorchSharp <c>Tensor.Handle</c> is an <c>AtenTensorHandle</c>, so tensors are shared
/// in both directions without a copy. Every function returns 0 on success; else it returns 1 and writes the error to standard error.
/// </summary>
internal static unsafe partial class TorchShim
{
    public const string LibraryName = "torch_cpu";

    [LibraryImport(LibraryName)]
    public static partial int aoti_torch_get_data_ptr(IntPtr tensor, void** pointer);

    [LibraryImport(LibraryName)]
    public static partial int aoti_torch_new_tensor_handle(IntPtr tensor, IntPtr* owned);

    [LibraryImport(LibraryName)]
    public static partial int aoti_torch_delete_tensor_object(IntPtr tensor);

    [LibraryImport(LibraryName)]
    public static partial int aoti_torch_call_dispatcher(byte* op, byte* overload, ulong* stack);

    [LibraryImport(LibraryName)]
    public static partial int torch_new_list_reserve_size(nuint size, IntPtr* list);

    [LibraryImport(LibraryName)]
    public static partial int torch_new_string_handle(byte* text, nuint length, IntPtr* handle);

    [LibraryImport(LibraryName)]
    public static partial int torch_parallel_for(long begin, long end, long grainSize, delegate* unmanaged<long, long, void*, void> body, void* context);

    /// <summary>operator new of libstdc++: the dispatcher's optional arguments are in blocks that the callee deletes.</summary>
    [LibraryImport("libstdc++.so.6", EntryPoint = "_Znwm")]
    public static partial ulong* OperatorNew(nuint size);
}
