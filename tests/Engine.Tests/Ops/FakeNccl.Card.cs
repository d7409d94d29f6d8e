using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Ops.Cuda;

namespace LocalLlm.Tests.Ops;

// Ranks that share one card. A call queues a kernel that waits on the card for the kernels of the other ranks, so it can be recorded and
// replayed. Ranks exchange the addresses of their memory through the card at every call, because recorded calls may come in any order.
internal static unsafe partial class FakeNccl
{
    private const int Blocks = 16;
    private const int Threads = 512;

    private const string Source = """
        typedef unsigned long long u64; typedef unsigned int u32; typedef unsigned short u16;
        __device__ u32 load(u32* p) { u32 v; asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory"); return v; }
        __device__ void store(u32* p, u32 v) { asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory"); }
        __device__ float toFloat(u64 p, long long i, int type) {
          if (type == 7) return ((volatile float*)p)[i];
          const u16 bits = ((volatile u16*)p)[i];
          float r;
          if (type == 9) r = __uint_as_float((u32)bits << 16); else asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(bits));
          return r;
        }
        __device__ void put(u64 p, long long i, int type, float x) {
          u16 r;
          if (type == 7) { ((float*)p)[i] = x; return; }
          if (type == 9) asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(x)); else asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(x));
          ((u16*)p)[i] = r;
        }
        // flags: [ranks][gridDim] steps that a block of a rank has come to; boxes: [ranks][gridDim][2] addresses; steps: [gridDim] the own.
        __device__ bool meet(u32* flags, int ranks, int rank, u32 step, const volatile u32* abort) {
          __shared__ int dead;
          __syncthreads();
          if (threadIdx.x == 0) {
            dead = 0;
            __threadfence_system();
            store(flags + rank * gridDim.x + blockIdx.x, step);
            for (int r = 0; r < ranks; r++)
              while ((int)(load(flags + r * gridDim.x + blockIdx.x) - step) < 0) if (*abort) { dead = 1; break; }
          }
          __syncthreads();
          return !dead;
        }
        extern "C" __global__ void fake(u64 source, u64 target, volatile u64* boxes, u32* flags, u32* steps, const u32* abort, int ranks, int rank, int kind, int detail, int type, long long count) {
          u32 step = steps[blockIdx.x];
          if (threadIdx.x == 0) boxes[rank * gridDim.x + blockIdx.x] = source;
          bool alive = meet(flags, ranks, rank, ++step, abort);
          const long long width = type == 0 ? 1 : type == 7 ? 4 : 2;
          for (long long first = (long long)blockIdx.x * blockDim.x; first < count; first += (long long)gridDim.x * blockDim.x) {
            const long long i = first + threadIdx.x;
            float sum = 0;
            if (alive && i < count) {
              if (kind == 0) for (int r = 0; r < ranks; r++) sum += toFloat(boxes[r * gridDim.x + blockIdx.x], i, type);
              if (kind == 1) for (int r = 0; r < ranks; r++)
                for (int b = 0; b < width; b++) ((unsigned char*)target)[(r * count + i) * width + b] = ((volatile unsigned char*)boxes[r * gridDim.x + blockIdx.x])[i * width + b];
              if (kind == 2) for (int b = 0; b < width; b++) ((unsigned char*)target)[i * width + b] = ((volatile unsigned char*)boxes[detail * gridDim.x + blockIdx.x])[i * width + b];
            }
            if (kind == 0) {
              // Sums may lie where their parts lay: nobody writes before all have read.
              if (alive) alive = meet(flags, ranks, rank, ++step, abort);
              if (alive && i < count) put(target, i, type, sum);
            }
          }
          if (alive) meet(flags, ranks, rank, ++step, abort);
          if (threadIdx.x == 0) steps[blockIdx.x] = step;
        }
        """;

    private static readonly Lock CompileLock = new();
    private static byte[]? s_image;

    private static int RunOnCard(Member member, nint stream, nint source, nint target, NcclCall call)
    {
        var state = CardState.Of(member.Group);
        var kernel = state.Kernel;
        var (kind, detail) = call.Name switch
        {
            "ncclAllReduce" => (0, 0),
            "ncclAllGather" => (1, 0),
            "ncclBroadcast" or "ncclRecv" => (2, call.Detail),
            _ => (3, 0), // a sender only has to take part
        };
        var (boxes, flags, steps, abort) = (state.Boxes, state.Flags, state.Steps(member.Rank), state.AbortWord);
        var (ranks, rank, type, count) = (member.Group.Size, member.Rank, call.Type, call.Count);
        void*[] arguments = [&source, &target, &boxes, &flags, &steps, &abort, &ranks, &rank, &kind, &detail, &type, &count];
        CudaDriver.LaunchConfig config = new() { GridX = Blocks, GridY = 1, GridZ = 1, BlockX = Threads, BlockY = 1, BlockZ = 1, Stream = stream };
        fixed (void** pointers = arguments)
            return CudaDriver.cuLaunchKernelEx(&config, kernel, pointers, null) == 0 ? Success : Fail(1, "the launch failed");
    }

    // What the ranks of a communicator share on their card; freed with the process.
    private sealed class CardState
    {
        private readonly ulong _memory;
        private readonly int _ranks;
        private readonly uint* _abort;

        private CardState(int ranks)
        {
            _ranks = ranks;
            ulong memory;
            void* word;
            var bytes = (nuint)(ranks * Blocks * (sizeof(ulong) + (2 * sizeof(uint))));
            CudaException.Check(CudaDriver.cuMemAlloc_v2(&memory, bytes), "allocating");
            CudaException.Check(CudaDriver.cuMemsetD8Async(memory, 0, bytes, 0), "clearing");
            CudaException.Check(CudaDriver.cuStreamSynchronize(0), "clearing");
            CudaException.Check(CudaDriver.cuMemHostAlloc(&word, sizeof(uint), 3), "allocating");
            _memory = memory;
            _abort = (uint*)word;
            *_abort = 0;
            nint module, kernel;
            int registers;
            fixed (byte* image = Image())
                CudaException.Check(CudaDriver.cuModuleLoadData(&module, image), "loading");
            CudaException.Check(CudaDriver.cuModuleGetFunction(&kernel, module, "fake"), "finding");
            CudaException.Check(CudaDriver.cuFuncGetAttribute(&registers, 4, kernel), "loading");
            Kernel = kernel;
        }

        public nint Kernel { get; }

        public ulong Boxes => _memory;

        public ulong Flags => _memory + (ulong)(_ranks * Blocks * sizeof(ulong));

        public ulong AbortWord => (ulong)_abort;

        public static CardState Of(Group group)
        {
            lock (group)
                return group.Card ??= new(group.Size);
        }

        public ulong Steps(int rank) => Flags + (ulong)(((_ranks + rank) * Blocks) * sizeof(uint));

        public void Abort() => Volatile.Write(ref *_abort, 1);

        private static byte[] Image()
        {
            lock (CompileLock)
            {
                int device;
                CudaException.Check(CudaDriver.cuDeviceGet(&device, 0), "cuDeviceGet");
                Nvrtc.EnsureLoaded(TorchLibrary.Folder);
                return s_image ??= Nvrtc.Compile(Source, "fake.cu", [$"--gpu-architecture=sm_{CudaDevice.ComputeCapabilityOf(device)}", "--std=c++17"]);
            }
        }
    }
}
