using System.Runtime.InteropServices;
using LocalLlm.Interop.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Tensor maps (CUDA driver API, <c>cuTensorMapEncodeTiled</c>): they tell the copy engine of a Hopper multiprocessor where a matrix lies.
/// It copies 64 rows of 128 bytes to shared memory and swizzles them for the tensor cores.
/// </summary>
internal static unsafe class TensorMaps
{
    private const int MapBytes = 128;
    private const int Alignment = 64;
    private const uint BoxRows = 64;
    private const uint BoxBytes = 128;
    private const int Bytes = 0; // CU_TENSOR_MAP_DATA_TYPE_UINT8
    private const int Swizzle128 = 3; // CU_TENSOR_MAP_SWIZZLE_128B
    private const int Promote256 = 3; // CU_TENSOR_MAP_L2_PROMOTION_L2_256B
    private const int None = 0;

    /// <summary>The maps of matrices of one shape; of the current dispose scope.</summary>
    /// <param name="addresses">Address of each matrix, a multiple of 16.</param>
    /// <param name="rows">Number of rows of a matrix.</param>
    /// <param name="rowBytes">Bytes of a row, a multiple of 16.</param>
    /// <param name="device">The device of the matrices and the maps.</param>
    /// <returns>[matrices, 128] bytes on the card.</returns>
    public static Tensor Create(ReadOnlySpan<long> addresses, int rows, int rowBytes, Device device)
    {
        var maps = new byte[addresses.Length * MapBytes];
        var map = NativeMemory.AlignedAlloc(MapBytes, Alignment);
        try
        {
            var sizes = stackalloc ulong[] { (ulong)rowBytes, (ulong)rows };
            var strides = stackalloc ulong[] { (ulong)rowBytes };
            var box = stackalloc uint[] { BoxBytes, BoxRows };
            var steps = stackalloc uint[] { 1, 1 };
            for (var i = 0; i < addresses.Length; i++)
            {
                var result = CudaDriver.cuTensorMapEncodeTiled(
                    map, Bytes, 2, (ulong)addresses[i], sizes, strides, box, steps, None, Swizzle128, Promote256, None);
                CudaException.Check(result, $"describing a matrix of {rows} rows of {rowBytes} bytes to the copy engine");
                new ReadOnlySpan<byte>(map, MapBytes).CopyTo(maps.AsSpan(i * MapBytes));
            }
        }
        finally
        {
            NativeMemory.AlignedFree(map);
        }

        return tensor(maps, device: device).view(addresses.Length, MapBytes);
    }
}
