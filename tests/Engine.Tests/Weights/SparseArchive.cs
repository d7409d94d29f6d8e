using System.Text;
using LocalLlm.Weights;
using static LocalLlm.Tests.Weights.ZipSample;

namespace LocalLlm.Tests.Weights;

/// <summary>An archive whose first storage has more than 4 GiB, of which the disk holds only the last byte, 42.</summary>
internal static class SparseArchive
{
    private static readonly byte[] s_seeZip64 = [0xff, 0xff, 0xff, 0xff];

    public static void Write(string path, byte[] pickle, long big, byte[] last)
    {
        using var stream = new FileStream(path, FileMode.CreateNew);
        var directory = new List<byte>();
        Add("m/data.pkl", pickle, pickle.Length);
        Add("m/data/0", [42], big);
        Add("m/data/1", last, last.Length);
        var (at, end64) = ((ulong)stream.Position, (ulong)stream.Position + (ulong)directory.Count);
        stream.Write([.. directory]);
        stream.Write([0x50, 0x4b, 6, 6, .. U64(44), .. U16(0x1e), .. U16(0x2d), .. U32(0), .. U32(0), .. U64(3), .. U64(3), .. U64((ulong)directory.Count), .. U64(at)]);
        stream.Write([0x50, 0x4b, 6, 7, .. U32(0), .. U64(end64), .. U32(1)]);
        stream.Write([0x50, 0x4b, 5, 6, .. U32(0), .. U16(3), .. U16(3), .. U32(directory.Count), .. s_seeZip64, .. U16(0)]);

        void Add(string name, byte[] tail, long length)
        {
            var (start, utf8, crc) = (stream.Position, Encoding.UTF8.GetBytes(name), U32(Crc32.Of(tail)));
            var (isBig, isFar) = (length > uint.MaxValue, start > uint.MaxValue);
            stream.Write([0x50, 0x4b, 3, 4, 0, 0, 8, 8, 0, 0, .. U32(0), .. U32(0), .. U32(0), .. U32(0), .. U16(utf8.Length), .. U16(0), .. utf8]);
            stream.Seek(length - tail.Length, SeekOrigin.Current);
            stream.Write(tail);
            var size = (ulong)length;
            stream.Write([0x50, 0x4b, 7, 8, .. crc, .. isBig || isFar ? [.. U64(size), .. U64(size)] : (byte[])[.. U32(length), .. U32(length)]]);
            byte[] large = [.. isBig ? [.. U64(size), .. U64(size)] : (byte[])[], .. isFar ? U64((ulong)start) : []];
            byte[] extra = large.Length == 0 ? [] : [1, 0, .. U16(large.Length), .. large];
            directory.AddRange([0x50, 0x4b, 1, 2, 0, 0, 0, 0, 8, 8, 0, 0, .. U32(0), .. crc, .. isBig ? s_seeZip64 : U32(length), .. isBig ? s_seeZip64 : U32(length)]);
            directory.AddRange([.. U16(utf8.Length), .. U16(extra.Length), .. U16(0), .. U32(0), .. U32(0), .. isFar ? s_seeZip64 : U32(start), .. utf8, .. extra]);
        }
    }
}
