using System.Runtime.Intrinsics.X86;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Writes the inner loop of <see cref="PairMatmulKernel"/> in machine code. In each of 16 lanes, VDPBF16PS multiplies two pairs of bfloat16
/// and adds both products to a float32; .NET has no intrinsic for it. The calling convention is that of x64 Linux:
/// <c>void (ushort* x, nint rowBytes, uint* panel, nint pairs, float* sums)</c>. The function adds to sums [rows, 64].
/// </summary>
internal static class DotProductCode
{
    /// <summary>Number of rows that fit the registers: 4 vectors of sums for each row, beside 4 of weights and one of inputs.</summary>
    public const int MaxRows = 6;

    private const int Vectors = 4; // of a panel
    private const int VectorBytes = 64;
    private const int PanelBytes = Vectors * VectorBytes; // of a pair of inputs
    private const int PairBytes = 4;
    private const int Unrolled = 4;
    private const int FirstWeight = MaxRows * Vectors; // a register
    private const int Broadcast = FirstWeight + Vectors;

    // Prefetch distance in bytes: far enough for a line to arrive from memory before it is needed.
    private const int PrefetchAhead = 4096;

    // General registers that a function may overwrite.
    private const int Rax = 0, Rcx = 1, Rdx = 2, Rsi = 6, Rdi = 7, R8 = 8, R9 = 9, R10 = 10, R11 = 11;
    private static readonly int[] RowPointers = [Rdi, R9, R10, R11, Rax, Rsi];

    /// <summary>Whether this CPU has the instruction.</summary>
    public static bool IsSupported
    {
        get
        {
            const int extendedFeatures = 7;
            const int bfloat16Bit = 5;
            if (!Avx512F.IsSupported || !X86Base.X64.IsSupported || X86Base.CpuId(0, 0).Eax < extendedFeatures)
                return false;
            var subleaves = X86Base.CpuId(extendedFeatures, 0).Eax;
            return subleaves >= 1 && (X86Base.CpuId(extendedFeatures, 1).Eax >> bfloat16Bit & 1) == 1;
        }
    }

    /// <summary>The function for 1 to <see cref="MaxRows"/> rows.</summary>
    public static byte[] Write(int rows)
    {
        var code = new List<byte>();
        for (var row = 1; row < rows; row++)
            LoadAddress(code, RowPointers[row], RowPointers[row - 1], Rsi);
        for (var sum = 0; sum < rows * Vectors; sum++)
            Vector(code, Load, sum, R8, sum * VectorBytes);

        AddToRegister(code, Rcx, -Unrolled);
        var toTail = JumpAhead(code, IfLess);
        var loop = code.Count;
        for (var pair = 0; pair < Unrolled; pair++)
            Multiply(code, rows, pair);
        Advance(code, rows, Unrolled);
        AddToRegister(code, Rcx, -Unrolled);
        JumpBack(code, IfNotLess, loop);

        Land(code, toTail);
        AddToRegister(code, Rcx, Unrolled);
        var toEnd = JumpAhead(code, IfZero);
        var tail = code.Count;
        Multiply(code, rows, 0);
        Advance(code, rows, 1);
        AddToRegister(code, Rcx, -1);
        JumpBack(code, IfNotZero, tail);

        Land(code, toEnd);
        for (var sum = 0; sum < rows * Vectors; sum++)
            Vector(code, Store, sum, R8, sum * VectorBytes);
        code.AddRange([0xC5, 0xF8, 0x77, 0xC3]); // vzeroupper; ret
        return [.. code];
    }

    private static void Multiply(List<byte> code, int rows, int pair)
    {
        for (var vector = 0; vector < Vectors; vector++)
        {
            Prefetch(code, Rdx, (pair * PanelBytes) + (vector * VectorBytes) + PrefetchAhead);
            Vector(code, Load, FirstWeight + vector, Rdx, (pair * PanelBytes) + (vector * VectorBytes));
        }

        for (var row = 0; row < rows; row++)
        {
            Vector(code, BroadcastPair, Broadcast, RowPointers[row], pair * PairBytes);
            for (var vector = 0; vector < Vectors; vector++)
                DotProduct(code, (row * Vectors) + vector, Broadcast, FirstWeight + vector);
        }
    }

    private static void Advance(List<byte> code, int rows, int pairs)
    {
        for (var row = 0; row < rows; row++)
            AddToRegister(code, RowPointers[row], pairs * PairBytes);
        AddToRegister(code, Rdx, pairs * PanelBytes);
    }

    // The rest are encodings (Intel's manual, volume 2). An instruction's map, prefix and opcode, as EVEX encodes them:
    private readonly record struct Encoding(int Map, int Prefix, byte Opcode);

    private static readonly Encoding Load = new(1, 0, 0x10); // VMOVUPS
    private static readonly Encoding Store = new(1, 0, 0x11); // VMOVUPS
    private static readonly Encoding BroadcastPair = new(2, 1, 0x58); // VPBROADCASTD
    private static readonly Encoding Product = new(2, 2, 0x52); // VDPBF16PS

    private const byte IfZero = 0x84, IfNotZero = 0x85, IfLess = 0x8C, IfNotLess = 0x8D;

    // An instruction on a whole vector register and [base + displacement].
    private static void Vector(List<byte> code, Encoding encoding, int vector, int @base, int displacement)
    {
        Evex(code, encoding, vector, second: 0, rmBit3: @base >> 3, rmBit4: 0);
        code.Add((byte)(0x80 | ((vector & 7) << 3) | (@base & 7)));
        code.AddRange(BitConverter.GetBytes(displacement));
    }

    private static void DotProduct(List<byte> code, int sum, int first, int second)
    {
        Evex(code, Product, sum, first, second >> 3 & 1, second >> 4);
        code.Add((byte)(0xC0 | ((sum & 7) << 3) | (second & 7)));
    }

    private static void Evex(List<byte> code, Encoding encoding, int register, int second, int rmBit3, int rmBit4)
    {
        // Bits of register numbers are stored inverted.
        var registers = ((~register >> 3 & 1) << 7) | ((~rmBit4 & 1) << 6) | ((~rmBit3 & 1) << 5) | ((~register >> 4 & 1) << 4);
        const int wholeVector = 0x40;
        code.AddRange(
        [
            0x62,
            (byte)(registers | encoding.Map),
            (byte)(((~second & 15) << 3) | 4 | encoding.Prefix),
            (byte)(wholeVector | ((~second >> 4 & 1) << 3)),
            encoding.Opcode,
        ]);
    }

    // PREFETCHT0 [base + displacement]
    private static void Prefetch(List<byte> code, int @base, int displacement)
    {
        code.AddRange([0x0F, 0x18, (byte)(0x80 | (1 << 3) | @base)]);
        code.AddRange(BitConverter.GetBytes(displacement));
    }

    // LEA target, [first + second]
    private static void LoadAddress(List<byte> code, int target, int first, int second) =>
        code.AddRange(
        [
            (byte)(0x48 | ((target >> 3) << 2) | ((second >> 3) << 1) | (first >> 3)),
            0x8D,
            (byte)(0x44 | ((target & 7) << 3)),
            (byte)(((second & 7) << 3) | (first & 7)),
            0,
        ]);

    // ADD register, number
    private static void AddToRegister(List<byte> code, int register, int number)
    {
        code.AddRange([(byte)(0x48 | (register >> 3)), 0x81, (byte)(0xC0 | (register & 7))]);
        code.AddRange(BitConverter.GetBytes(number));
    }

    private static int JumpAhead(List<byte> code, byte condition)
    {
        code.AddRange([0x0F, condition, 0, 0, 0, 0]);
        return code.Count;
    }

    private static void Land(List<byte> code, int jumpEnd) => Patch(code, jumpEnd, code.Count - jumpEnd);

    private static void JumpBack(List<byte> code, byte condition, int target)
    {
        var end = JumpAhead(code, condition);
        Patch(code, end, target - end);
    }

    private static void Patch(List<byte> code, int jumpEnd, int distance)
    {
        var bytes = BitConverter.GetBytes(distance);
        for (var i = 0; i < bytes.Length; i++)
            code[jumpEnd - bytes.Length + i] = bytes[i];
    }
}
