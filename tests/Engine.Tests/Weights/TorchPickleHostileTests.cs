using System.Diagnostics;
using LocalLlm.Weights;
using Xunit;

namespace LocalLlm.Tests.Weights;

/// <summary>Each hostile file causes one clear error, at once and with little memory, and nothing in it is run.</summary>
public class TorchPickleHostileTests
{
    private const long MaxAllocated = 64 << 20;
    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(20); // milliseconds on an idle machine

    private static readonly Dictionary<string, (string Words, Func<byte[]> File)> s_all =
        TorchHostilePickles.All.Select(hostile => (hostile.Name, hostile.Words, File: (Func<byte[]>)(() => TorchSamples.Archive(hostile.Pickle()))))
            .Concat(TorchHostileZips.All)
            .ToDictionary(hostile => hostile.Name, hostile => (hostile.Words, hostile.File), StringComparer.Ordinal);

    public static TheoryData<string> Names => [.. s_all.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_hostile_file_is_one_clear_error(string name)
    {
        var (words, file) = s_all[name];
        using var folder = new TemporaryFolder();
        folder.Write(TorchSamples.Name, file());
        var message = Refused(folder, name);
        Assert.Contains(words, message, StringComparison.Ordinal);
        Assert.InRange(message.Length, 0, 1000);
    }

    [Fact]
    public void The_hostile_files_number_in_the_hundreds() => Assert.True(s_all.Count >= 300, $"{s_all.Count}");

    [Fact]
    public void Every_opcode_that_is_not_on_the_list_is_refused()
    {
        const string Allowed = "(NKMJX)t}sucRQbqrhj.";
        byte[] more = [0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x93, 0x94, 0x95];
        for (var opcode = 0; opcode < 256; opcode++)
        {
            var error = Assert.Throws<EngineException>(() => PickleReader.Read("f", new PickleBytes().Raw(0x80, 4, (byte)opcode).Raw(new byte[16]).Stop()));
            var isNamed = error.Message.Contains($"opcode 0x{opcode:x2}, which a state dict does not need", StringComparison.Ordinal);
            Assert.True(isNamed != (Allowed.Contains((char)opcode, StringComparison.Ordinal) || more.Contains((byte)opcode)), error.Message);
        }
    }

    [Fact]
    public void A_file_cut_at_any_place_is_one_error()
    {
        var whole = TorchSamples.Archive(TorchSamples.Pickle);
        using var folder = new TemporaryFolder();
        for (var length = 0; length < whole.Length; length++)
        {
            folder.Write(TorchSamples.Name, whole[..length]);
            Refused(folder, $"{length} bytes");
        }
    }

    [Fact]
    public void A_pickle_cut_at_any_place_is_one_error()
    {
        for (var length = 0; length < TorchSamples.Pickle.Length; length++)
            Assert.StartsWith("f: data.pkl: byte", Assert.Throws<EngineException>(() => PickleReader.Read("f", TorchSamples.Pickle[..length])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_file_a_folder_a_link_to_nowhere_and_a_device_are_refused()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["folder.pt"]);
        File.CreateSymbolicLink(folder["nowhere.pt"], "not-there");
        File.CreateSymbolicLink(folder["zero.pt"], "/dev/zero");
        folder.Write("empty.pt", "");
        foreach (var name in (string[])["absent.pt", "folder.pt", "nowhere.pt", "zero.pt", "empty.pt"])
        {
            var error = Assert.Throws<EngineException>(() => TorchPickleFile.Open(folder[name]));
            Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
            Assert.StartsWith(name, error.Message, StringComparison.Ordinal);
        }
    }

    private static string Refused(TemporaryFolder folder, string name)
    {
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var start = Stopwatch.GetTimestamp();
        EngineException error;
        try
        {
            TorchPickleFile.Open(folder[TorchSamples.Name]).Dispose();
            throw new Xunit.Sdk.XunitException($"{name}: was opened");
        }
        catch (EngineException e)
        {
            error = e;
        }

        Assert.True(Stopwatch.GetElapsedTime(start) < s_longest, $"{name}: {Stopwatch.GetElapsedTime(start)}");
        var most = GC.GetAllocatedBytesForCurrentThread() - allocated;
        TestContext.Current.SendDiagnosticMessage($"{name}: {most >> 10} KiB, {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F1} ms");
        Assert.InRange(most, 0, MaxAllocated);
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        Assert.StartsWith(TorchSamples.Name + ": ", error.Message, StringComparison.Ordinal);
        return error.Message;
    }
}
