namespace LocalLlm.Tests.Ops;

// Ranks in the host's memory: a call waits for the other ranks, and has done its work when it returns.
internal static unsafe partial class FakeNccl
{
    private const int PhasesPerCall = 3;

    private static int RunOnHost(Member member, int index, nint source, nint target, NcclCall call)
    {
        var (group, rank, width) = (member.Group, member.Rank, WidthOf(call.Type));
        if (width == 0)
            return Fail(InvalidArgument, $"type {call.Type}");
        if (group.Meet(PhasesPerCall * index, rank, source, target) is not { } pointers)
            return Fail(InvalidUsage, "the other ranks did not come");
        var result = call.Name switch
        {
            "ncclAllReduce" => Sum(pointers, call),
            "ncclAllGather" => [.. pointers.SelectMany(pointer => Bytes(pointer.Source, call.Count * width))],
            "ncclBroadcast" => Bytes(pointers[call.Detail].Source, call.Count * width),
            "ncclRecv" => Bytes(pointers[call.Detail].Source, call.Count * width),
            _ => [],
        };

        // Source and target may be the same memory, so no rank writes before all have read.
        if (group.Meet((PhasesPerCall * index) + 1, rank, 0, 0) is null)
            return Fail(InvalidUsage, "the other ranks did not come");
        result.CopyTo(new Span<byte>((void*)target, result.Length));
        return group.Meet((PhasesPerCall * index) + 2, rank, 0, 0) is null ? Fail(InvalidUsage, "the other ranks did not come") : Success;
    }

    private static int WidthOf(int type) => type switch
    {
        0 => 1,
        6 or 9 => 2,
        7 => 4,
        _ => 0,
    };

    private static byte[] Bytes(nint pointer, long count) => new Span<byte>((void*)pointer, (int)count).ToArray();

    private static byte[] Sum((nint Source, nint Target)[] pointers, NcclCall call)
    {
        var sums = new float[call.Count];
        foreach (var (source, _) in pointers)
        {
            for (var i = 0; i < sums.Length; i++)
                sums[i] += call.Type switch
                {
                    7 => ((float*)source)[i],
                    6 => (float)((Half*)source)[i],
                    _ => BitConverter.UInt32BitsToSingle((uint)((ushort*)source)[i] << 16),
                };
        }

        var result = new byte[call.Count * WidthOf(call.Type)];
        fixed (byte* target = result)
        {
            for (var i = 0; i < sums.Length; i++)
            {
                if (call.Type == 7)
                    ((float*)target)[i] = sums[i];
                else if (call.Type == 6)
                    ((Half*)target)[i] = (Half)sums[i];
                else
                    ((ushort*)target)[i] = Rounded(sums[i]);
            }
        }

        return result;
    }

    // Rounds to the nearest bfloat16, ties to even.
    private static ushort Rounded(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
}
