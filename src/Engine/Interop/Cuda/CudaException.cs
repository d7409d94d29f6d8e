using System.Runtime.InteropServices;

namespace LocalLlm.Interop.Cuda;

/// <summary>A call of the CUDA driver that failed. After most of them the device context is unusable, so the engine dies with it.</summary>
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

    /// <summary>The driver's own words for an error.</summary>
    public static unsafe string Describe(int code)
    {
        byte* text = null;
        return CudaDriver.cuGetErrorString(code, &text) == 0 && text is not null ? Marshal.PtrToStringUTF8((IntPtr)text)! : "unknown error";
    }
}
