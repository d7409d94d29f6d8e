using System.Runtime.InteropServices;

namespace LocalLlm.Interop.Cuda;

/// <summary>The CUDA side of libtorch's stable C interface (libtorch_cuda.so); conventions as in <see cref="TorchShim"/>.</summary>
internal static unsafe partial class TorchCudaShim
{
    public const string LibraryName = "torch_cuda";

    /// <summary>Sets a stream as torch's current one on this thread until the guard is deleted.</summary>
    [LibraryImport(LibraryName)]
    public static partial int aoti_torch_create_cuda_stream_guard(IntPtr stream, int device, IntPtr* guard);

    [LibraryImport(LibraryName)]
    public static partial int aoti_torch_delete_cuda_stream_guard(IntPtr guard);

    /// <summary>out = self · weight matrix product; shapes must fit exactly.</summary>
    [LibraryImport(LibraryName)]
    public static partial int aoti_torch_cuda_mm_out(IntPtr output, IntPtr left, IntPtr right);

    /// <summary>out = beta · self + alpha · left · right.</summary>
    [LibraryImport(LibraryName)]
    public static partial int aoti_torch_cuda_addmm_out(IntPtr output, IntPtr self, IntPtr left, IntPtr right, double beta, double alpha);
}
