using System.Runtime.InteropServices;

namespace LocalLlm.Interop.Cuda;

/// <summary>A failed call of the CUDA driver. After most failures the device context is unusable, so the engine stops.</summary>
internal sealed class CudaException(string call, int code) : Exception($"{call} failed: {Describe(code)} (CUDA error {code})")
{
    /// <summary>The CUresult.</summary>
    public int Code { get; } = code;

    /// <summary>Throws unless <paramref name="code"/> is CUDA_SUCCESS.</summary>
    public static void Check(int code, string call)
    {
        if (code != 0)
            throw new CudaException(call, code);
    }

    /// <summary>The driver's own text for an error.</summary>
    public static unsafe string Describe(int code)
    {
        byte* text = null;
        return CudaDriver.cuGetErrorString(code, &text) == 0 && text is not null ? Marshal.PtrToStringUTF8((IntPtr)text)! : "unknown error";
    }
}
