using static LocalLlm.Tests.Weights.TorchSamples;

namespace LocalLlm.Tests.Weights;

/// <summary>Pickles in a sound archive, each with one fault, and words that its error must contain.</summary>
internal static class TorchHostilePickles
{
    private const string NotNeeded = "which a state dict does not need; nothing of the file was run";

    private static readonly string[] s_globals =
    [
        "posix system", "nt system", "os system", "os popen", "os execv", "os remove", "subprocess Popen", "subprocess call", "subprocess check_output", "builtins eval",
        "builtins exec", "builtins compile", "builtins __import__", "builtins getattr", "builtins setattr", "builtins open", "builtins globals", "builtins type", "builtins object",
        "builtins bytearray", "__builtin__ eval", "__builtin__ file", "__main__ Model", "importlib import_module", "runpy run_path", "pickle loads", "_pickle loads", "dill loads",
        "cloudpickle loads", "marshal loads", "torch load", "torch.serialization load", "torch.hub load", "torch.jit load", "torch.storage _load_from_bytes", "torch.package PackageImporter",
        "torch._utils _rebuild_tensor", "torch._utils _rebuild_sparse_tensor", "torch._utils _rebuild_qtensor", "torch._utils _rebuild_parameter_with_state", "torch._tensor _rebuild_from_type_v2",
        "torch.nn.modules.linear Linear", "torch.ops load_library", "torch.utils.cpp_extension load", "torch Tensor", "torch float32", "torch.storage TypedStorage", "torch.cuda FloatStorage",
        "numpy.core.multiarray _reconstruct", "numpy dtype", "numpy.testing._private.utils runstring", "operator attrgetter", "operator methodcaller", "functools partial", "functools reduce",
        "collections defaultdict", "collections Counter", "collections namedtuple", "copyreg _reconstructor", "copyreg __newobj__", "types FunctionType", "types CodeType", "ctypes CDLL",
        "socket socket", "webbrowser open", "shutil rmtree", "pty spawn", "code interact", "timeit timeit", "pdb run", "pip main", "sys exit", "urllib.request urlopen", "logging.config dictConfig",
        "transformers.training_args TrainingArguments", "torch._utils _rebuild_tensor_v2.__globals__", "collections OrderedDict.fromkeys", "collections.OrderedDict fromkeys", "Collections OrderedDict",
        "torch floatstorage", "torch ", " OrderedDict", "torch FloatStorage ", " ",
    ];

    public static IEnumerable<(string Name, string Words, Func<byte[]> Pickle)> All =>
    [
        .. s_globals.Select(name => ($"GLOBAL {name}", NotNeeded, (Func<byte[]>)(() => Start2().Global(name.Split(' ')[0], name[(name.IndexOf(' ') + 1)..]).Op('(').Text("touch /tmp/x").Op("tR").Stop()))),
        .. s_globals.Take(12).Select(name => ($"STACK_GLOBAL {name}", NotNeeded, (Func<byte[]>)(() => new PickleBytes().Raw(0x80, 4).Short(name.Split(' ')[0]).Short(name.Split(' ')[1]).Raw(0x93).Stop()))),
        .. Opcodes, .. Calls, .. Ids, .. Views, .. Machine, .. Bombs, .. Values,
    ];

    private static IEnumerable<(string, string, Func<byte[]>)> Opcodes =>
        new (string Name, byte Opcode)[]
        {
            ("INST", (byte)'i'), ("OBJ", (byte)'o'), ("NEWOBJ", 0x81), ("NEWOBJ_EX", 0x92), ("EXT1", 0x82), ("EXT2", 0x83), ("EXT4", 0x84), ("PERSID", (byte)'P'), ("POP", (byte)'0'), ("DUP", (byte)'2'),
            ("POP_MARK", (byte)'1'), ("EMPTY_LIST", (byte)']'), ("LIST", (byte)'l'), ("DICT", (byte)'d'), ("APPENDS", (byte)'e'), ("FLOAT", (byte)'F'), ("INT", (byte)'I'), ("LONG4", 0x8b), ("STRING", (byte)'S'),
            ("BINSTRING", (byte)'T'), ("BINBYTES8", 0x8e), ("BYTEARRAY8", 0x96), ("BINUNICODE8", 0x8d), ("FROZENSET", 0x91), ("EMPTY_SET", 0x8f), ("NEXT_BUFFER", 0x97), ("PUT", (byte)'p'), ("GET", (byte)'g'), ("NO_OPCODE", 0xff),
        }.Select(opcode => ($"OPCODE {opcode.Name}", $"opcode 0x{opcode.Opcode:x2}, {NotNeeded}", (Func<byte[]>)(() => Start2().OrderedDict().Raw(opcode.Opcode, 1, 0, 0, 0).Stop())));

    private static IEnumerable<(string, string, Func<byte[]>)> Calls =>
    [
        ("REDUCE_TEXT", "a call of text", () => Start2().Text("os.system").Op(")R").Stop()),
        ("REDUCE_NONE", "a call of None", () => Start2().Op("N)R").Stop()),
        ("REDUCE_TENSOR", "a call of a tensor", () => Start2().Tensor("HalfStorage", "1", 4, 0, [4], [1]).Op(")R").Stop()),
        ("REDUCE_WITHOUT_TUPLE", "a call with None", () => Start2().Global("collections", "OrderedDict").Op("NR").Stop()),
        ("REDUCE_STORAGE_TYPE", "a call of Storage", () => Start2().Global("torch", "FloatStorage").Op(")R").Stop()),
        ("REDUCE_DTYPE", "a call of Dtype", () => Start2().Global("torch", "uint16").Op(")R").Stop()),
        ("ORDERED_DICT_WITH_ITEMS", "a call of OrderedDict with 1", () => Start2().Global("collections", "OrderedDict").Op(")").Raw(0x85).Op("R").Stop()),
        ("TENSOR_WITHOUT_ARGUMENTS", "a call of TensorV2 with 0", () => Start2().Global("torch._utils", "_rebuild_tensor_v2").Op(")R").Stop()),
        ("TENSOR_OF_9_ARGUMENTS", "a call of TensorV2 with 9", () => Rebuild(p => p.Storage("HalfStorage", "1", 4).Int(0).Tuple(4).Tuple(1).Raw(0x89).OrderedDict().Op("NNN"))),
        ("TENSOR_OF_TEXT", "a call of TensorV2", () => Rebuild(p => p.Text("s").Int(0).Tuple(4).Tuple(1).Raw(0x89).OrderedDict())),
        ("TENSOR_OF_UNTYPED_STORAGE", "a call of TensorV2", () => Rebuild(p => p.Storage("UntypedStorage", "1", 8).Int(0).Tuple(8).Tuple(1).Raw(0x89).OrderedDict())),
        ("OFFSET_IS_TEXT", "another kind than number", () => Rebuild(p => p.Storage("HalfStorage", "1", 4).Text("0").Tuple(4).Tuple(1).Raw(0x89).OrderedDict())),
        ("SHAPE_IS_DICT", "another kind than number", () => Rebuild(p => p.Storage("HalfStorage", "1", 4).Int(0).Op('}').Tuple(1).Raw(0x89).OrderedDict())),
        ("SHAPE_OF_TEXT", "text in a shape", () => Rebuild(p => p.Storage("HalfStorage", "1", 4).Int(0).Text("4").Raw(0x85).Tuple(1).Raw(0x89).OrderedDict())),
        ("GRAD_IS_NUMBER", "a call of TensorV2", () => Rebuild(p => p.Storage("HalfStorage", "1", 4).Int(0).Tuple(4).Tuple(1).Int(1).OrderedDict())),
        ("HOOKS_ARE_NONE", "a call of TensorV2", () => Rebuild(p => p.Storage("HalfStorage", "1", 4).Int(0).Tuple(4).Tuple(1).Raw(0x89).Op('N'))),
        ("HOOKS_ARE_SET", "a call of TensorV2", () => Rebuild(p => p.Storage("HalfStorage", "1", 4).Int(0).Tuple(4).Tuple(1).Raw(0x89).OrderedDict().Text("hook").Op("Ns"))),
        ("METADATA_IS_SET", "a call of TensorV2", () => Rebuild(p => p.Storage("HalfStorage", "1", 4).Int(0).Tuple(4).Tuple(1).Raw(0x89).OrderedDict().Op('}').Text("conj").Raw(0x88).Op('s'))),
        ("TENSOR_V3_OF_TYPED_STORAGE", "a call of TensorV3", () => Rebuild(p => p.Storage("HalfStorage", "1", 4).Int(0).Tuple(4).Tuple(1).Raw(0x89).OrderedDict().Global("torch", "uint16"), "_rebuild_tensor_v3")),
        ("TENSOR_V3_OF_TEXT_TYPE", "a call of TensorV3", () => Rebuild(p => p.Storage("UntypedStorage", "1", 8).Int(0).Tuple(4).Tuple(1).Raw(0x89).OrderedDict().Text("uint16"), "_rebuild_tensor_v3")),
        ("PARAMETER_OF_TEXT", "a call of Parameter", () => Rebuild(p => p.Text("x").Raw(0x89).OrderedDict(), "_rebuild_parameter")),
        ("BUILD_PLAIN_DICT", "attributes for a dictionary", () => Start2().Op("}}b").Stop()),
        ("BUILD_TENSOR", "attributes for a tensor", () => Start2().Tensor("HalfStorage", "1", 4, 0, [4], [1]).Op("}b").Stop()),
        ("BUILD_GLOBAL", "attributes for a global", () => Start2().Global("collections", "OrderedDict").Op("}b").Stop()),
        ("BUILD_CLASS", "attributes for a dictionary", () => Start2().OrderedDict().Op('}').Text("__class__").Op("Nsb").Stop()),
        ("BUILD_SETSTATE", "attributes for a dictionary", () => Start2().OrderedDict().Op('}').Text("__setstate__").Op("Nsb").Stop()),
        ("BUILD_SLOTS", "attributes for a dictionary", () => Start2().OrderedDict().Op("N}").Raw(0x86).Op('b').Stop()),
        ("BUILD_NONE", "attributes for a dictionary", () => Start2().OrderedDict().Op("Nb").Stop()),
    ];

    private static IEnumerable<(string, string, Func<byte[]>)> Ids =>
    [
        .. new[] { "../../x", "0/../../x", "..", "/etc/passwd", "0/0", "", "-1", "0x0", "1e0", "0 ", "0\0", "\u0660", "000000000000000000000", "data.pkl", "0\\1" }
            .Select(key => ($"KEY {key.Replace("\0", "NUL", StringComparison.Ordinal)}", "storage key", (Func<byte[]>)(() => One(p => p.Tensor("FloatStorage", key, 6, 0, [6], [1]))))),
        .. new[] { "2", "00", "99999999999999999999" }.Select(key => ($"NO_SUCH_STORAGE {key}", "is not in the archive", (Func<byte[]>)(() => One(p => p.Tensor("FloatStorage", key, 6, 0, [6], [1]))))),
        .. new[] { 0, 1, 5, 7, -1, -6, long.MaxValue, long.MinValue, 1L << 62, (1L << 62) + 6, 1L << 32 }
            .Select(count => ($"STORAGE_COUNT {count}", "found a storage of", (Func<byte[]>)(() => One(p => p.Tensor("FloatStorage", "0", count, 0, [1], [1]))))),
        ("STORAGE_TYPE_TOO_LARGE", "found a storage of 6", () => One(p => p.Tensor("DoubleStorage", "0", 6, 0, [6], [1]))),
        ("STORAGE_TYPE_TOO_SMALL", "found a storage of 6", () => One(p => p.Tensor("BoolStorage", "0", 6, 0, [6], [1]))),
        ("ID_IS_TEXT", "a persistent id", () => Start2().Text("0").Op("Q").Stop()),
        ("ID_OF_4", "a persistent id", () => Start2().Op('(').Text("storage").Global("torch", "FloatStorage").Text("0").Text("cpu").Op("tQ").Stop()),
        ("ID_OF_6", "a persistent id", () => Start2().Op('(').Text("storage").Global("torch", "FloatStorage").Text("0").Text("cpu").Int(6).Op("NtQ").Stop()),
        ("ID_OF_MODULE", "a persistent id", () => Start2().Op('(').Text("module").Global("torch", "FloatStorage").Text("0").Text("cpu").Int(6).Op("tQ").Stop()),
        ("ID_TYPE_IS_TEXT", "a persistent id", () => Start2().Op('(').Text("storage").Text("FloatStorage").Text("0").Text("cpu").Int(6).Op("tQ").Stop()),
        ("ID_TYPE_IS_DICT", "a persistent id", () => Start2().Op('(').Text("storage").Global("collections", "OrderedDict").Text("0").Text("cpu").Int(6).Op("tQ").Stop()),
        ("ID_KEY_IS_NUMBER", "a persistent id", () => Start2().Op('(').Text("storage").Global("torch", "FloatStorage").Int(0).Text("cpu").Int(6).Op("tQ").Stop()),
        ("ID_COUNT_IS_TEXT", "a persistent id", () => Start2().Op('(').Text("storage").Global("torch", "FloatStorage").Text("0").Text("cpu").Text("6").Op("tQ").Stop()),
    ];

    private static IEnumerable<(string, string, Func<byte[]>)> Views =>
    [
        View("OFFSET_NEGATIVE", "below 0", -1, [6], [1]),
        View("OFFSET_2_63", "below 0", long.MinValue, [6], [1]),
        View("OFFSET_ONE_TOO_FAR", "leaves its storage", 1, [6], [1]),
        View("OFFSET_BEHIND", "leaves its storage", 7, [0], [1]),
        View("OFFSET_OVERFLOWS", "overflows", 1L << 62, [1], [1]),
        View("OFFSET_HUGE", "leaves its storage", 1L << 60, [1], [1]),
        View("SHAPE_NEGATIVE", "below 0", 0, [-6], [1]),
        View("SHAPE_TWICE_NEGATIVE", "below 0", 0, [-2, -3], [3, 1]),
        View("SHAPE_2_63", "below 0", 0, [long.MinValue], [1]),
        View("SHAPE_MAX", "overflows", 0, [long.MaxValue], [1]),
        View("SHAPE_PRODUCT_OVERFLOWS", "overflows", 0, [1L << 32, 1L << 32], [1L << 32, 1]),
        View("SHAPE_PRODUCT_OVERFLOWS_TO_6", "overflows", 0, [(1L << 62) + 6, 4, 1], [4, 1, 1]),
        View("SHAPE_OVERFLOWS_BEFORE_A_0", "overflows", 0, [1L << 62, 1L << 62, 0], [1, 1, 1]),
        View("SHAPE_ONE_TOO_MANY", "leaves its storage", 0, [7], [1]),
        View("SHAPE_HUGE", "leaves its storage", 0, [1L << 40, 1L << 20], [1L << 20, 1]),
        View("STRIDE_NEGATIVE", "below 0", 0, [6], [-1]),
        View("STRIDE_2_63", "below 0", 0, [6], [long.MinValue]),
        View("STRIDE_0_BROADCASTS", "contiguous", 0, [6], [0]),
        View("STRIDE_HUGE", "contiguous", 0, [2, 3], [long.MaxValue, 1]),
        View("TRANSPOSED", "contiguous", 0, [3, 2], [1, 3]),
        View("OVERLAPPING", "contiguous", 0, [2, 3], [1, 1]),
        View("EVERY_OTHER", "contiguous", 0, [3], [2]),
        View("STRIDES_MISSING", "2 dimensions with 1 strides", 0, [2, 3], [1]),
        View("STRIDES_TOO_MANY", "0 dimensions with 1 strides", 0, [], [1]),
        View("NINE_DIMENSIONS", "9 dimensions", 0, [1, 1, 1, 1, 1, 1, 1, 1, 6], [6, 6, 6, 6, 6, 6, 6, 6, 1]),
    ];

    private static IEnumerable<(string, string, Func<byte[]>)> Machine =>
    [
        ("EMPTY", "ends within", () => []),
        ("NO_PROTOCOL", "start of a pickle", () => [(byte)'}', (byte)'.']),
        ("PROTOCOL_1", "start of a pickle", () => [0x80, 1, (byte)'}', (byte)'.']),
        ("PROTOCOL_6", "start of a pickle", () => [0x80, 6, (byte)'}', (byte)'.']),
        ("PROTOCOL_TWICE", "opcode 0x80", () => Start2().Raw(0x80, 2).Op('}').Stop()),
        ("NOTHING_LEFT", "0 values left", () => Start2().Stop()),
        ("TWO_VALUES_LEFT", "2 values left", () => Start2().Op("}}").Stop()),
        ("BYTES_AFTER_THE_END", "more bytes", () => [.. Pickle, 0]),
        ("SECOND_PICKLE_BEHIND", "more bytes", () => [.. Pickle, .. Pickle]),
        ("NO_END", "ends within", () => Pickle[..^1]),
        ("MARK_LEFT", "1 values left", () => Start2().Op("}(").Stop()),
        ("TUPLE_WITHOUT_MARK", "without a mark", () => Start2().Op("}t").Stop()),
        ("SETITEMS_WITHOUT_MARK", "without a mark", () => Start2().Op("}u").Stop()),
        ("TUPLE3_OF_2", "more values than the stack holds", () => Start2().Op("NN").Raw(0x87).Stop()),
        ("TUPLE1_OF_NONE", "more values than the stack holds", () => Start2().Raw(0x85).Stop()),
        ("TUPLE2_ACROSS_A_MARK", "more values than the stack holds", () => Start2().Op("N(N").Raw(0x86).Stop()),
        ("REDUCE_ACROSS_A_MARK", "more values than the stack holds", () => Start2().Global("collections", "OrderedDict").Op("()R").Stop()),
        ("REDUCE_OF_ONE", "more values than the stack holds", () => Start2().Op(")R").Stop()),
        ("PERSISTENT_ID_OF_NOTHING", "more values than the stack holds", () => Start2().Op("Q").Stop()),
        ("BUILD_OF_ONE", "more values than the stack holds", () => Start2().Op("}b").Stop()),
        ("SETITEM_OF_TWO", "more values than the stack holds", () => Start2().Text("x").Op("Ns").Stop()),
        ("SETITEMS_OF_NOTHING", "more values than the stack holds", () => Start2().Op("(u").Stop()),
        ("SETITEMS_ACROSS_A_MARK", "more values than the stack holds", () => Start2().Op("}((u").Stop()),
        ("SETITEMS_ODD", "wanted pairs", () => Start2().Op("}(").Text("x").Op('u').Stop()),
        ("SETITEMS_OF_TUPLE", "items of a tuple", () => Start2().Op(")(").Text("x").Op("Nu").Stop()),
        ("SETITEM_OF_GLOBAL", "items of a global", () => Start2().Global("torch", "FloatStorage").Text("x").Op("Ns").Stop()),
        ("NAME_IS_NUMBER", "a number as a name", () => Start2().Op("}(").Int(1).Op("Nu").Stop()),
        ("NAME_IS_TUPLE", "a tuple as a name", () => Start2().Op("}()Nu").Stop()),
        ("NAME_TWICE", "occurs twice", () => Start2().Op("}(").Text("x").Op('N').Text("x").Op("Nu").Stop()),
        ("NAME_OF_2_KB", "text of 2048 bytes", () => Start2().Op("}").Text(new string('x', 2048)).Op("Ns").Stop()),
        ("MEMO_EMPTY", "memo slot 0", () => Start2().Op('h').Raw(0).Stop()),
        ("MEMO_GET_FAR", "memo slot 4294967295", () => Start2().Op('j').Raw(255, 255, 255, 255).Stop()),
        ("MEMO_PUT_FAR", "memo slot 4294967295", () => Start2().Op("}r").Raw(255, 255, 255, 255).Stop()),
        ("MEMO_PUT_SKIPS", "memo slot 1", () => Start2().Op("}q").Raw(1).Stop()),
        ("MEMO_PUT_TWICE", "memo slot 0", () => Start2().Op("}q").Raw(0).Op('q').Raw(0).Stop()),
        ("MEMO_OF_NOTHING", "more values than the stack holds", () => Start2().Raw(0x94).Stop()),
        ("MEMO_OF_A_MARK", "more values than the stack holds", () => Start2().Op("}(q").Raw(0).Stop()),
        ("TEXT_OF_4_GIB", "text of 4294967295 bytes", () => Start2().Op('X').Raw(255, 255, 255, 255).Stop()),
        ("TEXT_OF_2_GIB", "text of 2147483648 bytes", () => Start2().Op('X').Raw(0, 0, 0, 128).Stop()),
        ("TEXT_BEYOND_THE_END", "ends within", () => Start2().Op('X').Raw(200, 0, 0, 0).Stop()),
        ("TEXT_NOT_UTF8", "not UTF-8", () => Start2().Text([0xc0, 0x80]).Stop()),
        ("TEXT_SURROGATE", "not UTF-8", () => Start2().Text([0xed, 0xa0, 0x80]).Stop()),
        ("NUMBER_OF_9_BYTES", "number of 9 bytes", () => Start2().Raw(0x8a, 9).Raw(new byte[9]).Stop()),
        ("NUMBER_OF_255_BYTES", "number of 255 bytes", () => Start2().Raw(0x8a, 255).Raw(new byte[255]).Stop()),
        ("NUMBER_BEYOND_THE_END", "ends within", () => Start2().Raw(0x8a, 8, 1).ToArray()),
        ("FRAME_OF_2_64", "frame of 18446744073709551615 bytes", () => Start2().Raw(0x95, 255, 255, 255, 255, 255, 255, 255, 255).Op('}').Stop()),
        ("FRAME_ONE_TOO_LONG", "frame of 3 bytes", () => Start2().Raw(0x95, 3, 0, 0, 0, 0, 0, 0, 0).Op('}').Stop()),
        ("GLOBAL_WITHOUT_LINE_FEED", "no line", () => Start2().Op('c').Raw("torch"u8.ToArray()).Stop()),
        ("GLOBAL_OF_10_KB", "no line", () => Start2().Global(new string('x', 10_000), "y").Stop()),
        ("GLOBAL_NOT_ASCII", "no line", () => Start2().Global("t\u043Erch", "FloatStorage").Stop()),
        ("STACK_GLOBAL_OF_NUMBERS", "named by a number and a number", () => Start2().Int(1).Int(2).Raw(0x93).Stop()),
        ("STACK_GLOBAL_OF_NOTHING", "more values than the stack holds", () => Start2().Raw(0x93).Stop()),
    ];

    private static IEnumerable<(string, string, Func<byte[]>)> Bombs =>
    [
        ("DEEP_TUPLES", "deep", () => Start2().Op('N').Times(1_000_000, p => p.Raw(0x85)).Stop()),
        ("DEEP_MARKS", "deep", () => Start2().Times(1_000_000, p => p.Op('(')).Stop()),
        ("DEEP_DICTS", "deep", () => Enumerable.Range(0, 100).Aggregate(Start2().Op('}').Raw(0x94), (p, i) => p.Op('}').Raw(0x94).Text("x").Op('h').Raw((byte)i).Op('s')).Stop()),
        ("DEEP_CHAIN_OF_DICTS", "deep", () => Start2().Times(100, p => p.Op('}').Text("x")).Op('N').Times(100, p => p.Op('s')).Stop()),
        ("DICT_INSIDE_ITSELF", "deep", () => Enumerable.Range(0, 20).Aggregate(Start2().Op('}').Raw(0x94), (p, i) => p.Text($"{i}").Op('h').Raw(0).Op('s')).Stop()),
        ("BILLION_LAUGHS", "deep", () => Enumerable.Range(0, 60).Aggregate(Start2().Op('}').Raw(0x94), (p, i) => p.Op('h').Raw((byte)i).Op('h').Raw((byte)i).Raw(0x86, 0x94)).Stop()),
        ("STACK_BOMB", "stack of more than", () => Start2().Times(8_000_000, p => p.Op('N')).Stop()),
        ("DICT_BOMB", "stack of more than", () => Start2().Times(8_000_000, p => p.Op('}')).Stop()),
        ("MEMO_BOMB", "steps", () => Start2().Op('}').Times(8_000_000, p => p.Raw(0x94)).Stop()),
        ("NAMES_BOMB", "25,000 names", () => Enumerable.Range(0, 400_000).Aggregate(Start2().Op('}'), (p, i) => p.Text($"{i:x}").Op("Ns")).Stop()),
        ("PICKLE_OF_9_MB", "wanted at most", () => Start2().Times(9 << 20, p => p.Op('N')).Stop()),
    ];

    private static IEnumerable<(string, string, Func<byte[]>)> Values =>
    [
        ("TOP_IS_NONE", "holds None", () => Start2().Op('N').Stop()),
        ("TOP_IS_TUPLE", "holds a tuple", () => Start2().Op(')').Stop()),
        ("TOP_IS_TEXT", "holds text", () => Start2().Text("x").Stop()),
        ("TOP_IS_TENSOR", "holds a tensor", () => Start2().Tensor("HalfStorage", "1", 4, 0, [4], [1]).Stop()),
        ("TOP_IS_STORAGE", "holds a storage", () => Start2().Storage("HalfStorage", "1", 4).Stop()),
        ("TOP_IS_GLOBAL", "holds a global", () => Start2().Global("torch", "FloatStorage").Stop()),
        ("TENSOR_IS_NUMBER", "is a number", () => One(p => p.Int(1))),
        ("TENSOR_IS_STORAGE", "is a storage", () => One(p => p.Storage("HalfStorage", "1", 4))),
        ("STATE_DICT_IN_A_CHECKPOINT", "training checkpoint", () => Start2().Op("}(").Text("epoch").Int(3).Text("state_dict").OrderedDict().Op('u').Stop()),
    ];

    private static PickleBytes Start2() => PickleBytes.Start();

    private static (string, string, Func<byte[]>) View(string name, string words, long offset, long[] shape, long[] strides) =>
        ("VIEW_" + name, words, () => One(p => p.Tensor("FloatStorage", "0", 6, offset, shape, strides)));

    private static byte[] Rebuild(Func<PickleBytes, PickleBytes> arguments, string function = "_rebuild_tensor_v2") =>
        arguments(PickleBytes.Start().Global("torch._utils", function).Op('(')).Op("tR").Stop();
}
