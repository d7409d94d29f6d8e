namespace LocalLlm.Weights;

/// <summary>What a global of a pickle stands for.</summary>
internal enum PickleGlobalKind
{
    /// <summary><c>collections.OrderedDict</c>.</summary>
    OrderedDict,

    /// <summary><c>torch._utils._rebuild_tensor_v2</c>.</summary>
    TensorV2,

    /// <summary><c>torch._utils._rebuild_tensor_v3</c>: the type is an argument, and the storage is untyped bytes.</summary>
    TensorV3,

    /// <summary><c>torch._utils._rebuild_parameter</c>.</summary>
    Parameter,

    /// <summary>The type of a storage.</summary>
    Storage,

    /// <summary>The type of a tensor.</summary>
    Dtype,
}

/// <summary>One of the globals that a state dict needs. It is only a name; nothing here can call it.</summary>
internal sealed class PickleGlobal(PickleGlobalKind kind, SafetensorsDtype? dtype = null) : PickleValue
{
    // The complete list: any other name is an error.
    private static readonly Dictionary<(string Module, string Name), PickleGlobal> s_allowed = new()
    {
        [("collections", "OrderedDict")] = new(PickleGlobalKind.OrderedDict),
        [("torch._utils", "_rebuild_tensor_v2")] = new(PickleGlobalKind.TensorV2),
        [("torch._utils", "_rebuild_tensor_v3")] = new(PickleGlobalKind.TensorV3),
        [("torch._utils", "_rebuild_parameter")] = new(PickleGlobalKind.Parameter),
        [("torch.storage", "UntypedStorage")] = new(PickleGlobalKind.Storage),
        [("torch", "FloatStorage")] = new(PickleGlobalKind.Storage, SafetensorsDtype.F32),
        [("torch", "HalfStorage")] = new(PickleGlobalKind.Storage, SafetensorsDtype.F16),
        [("torch", "BFloat16Storage")] = new(PickleGlobalKind.Storage, SafetensorsDtype.BF16),
        [("torch", "DoubleStorage")] = new(PickleGlobalKind.Storage, SafetensorsDtype.F64),
        [("torch", "LongStorage")] = new(PickleGlobalKind.Storage, SafetensorsDtype.I64),
        [("torch", "IntStorage")] = new(PickleGlobalKind.Storage, SafetensorsDtype.I32),
        [("torch", "ShortStorage")] = new(PickleGlobalKind.Storage, SafetensorsDtype.I16),
        [("torch", "CharStorage")] = new(PickleGlobalKind.Storage, SafetensorsDtype.I8),
        [("torch", "ByteStorage")] = new(PickleGlobalKind.Storage, SafetensorsDtype.U8),
        [("torch", "BoolStorage")] = new(PickleGlobalKind.Storage, SafetensorsDtype.Bool),
        [("torch", "float8_e4m3fn")] = new(PickleGlobalKind.Dtype, SafetensorsDtype.F8E4M3),
        [("torch", "float8_e5m2")] = new(PickleGlobalKind.Dtype, SafetensorsDtype.F8E5M2),
        [("torch", "float8_e8m0fnu")] = new(PickleGlobalKind.Dtype, SafetensorsDtype.F8E8M0),
        [("torch", "uint16")] = new(PickleGlobalKind.Dtype, SafetensorsDtype.U16),
        [("torch", "uint32")] = new(PickleGlobalKind.Dtype, SafetensorsDtype.U32),
        [("torch", "uint64")] = new(PickleGlobalKind.Dtype, SafetensorsDtype.U64),
    };

    public PickleGlobalKind What => kind;

    /// <summary>The type of a storage or a dtype; null: untyped bytes.</summary>
    public SafetensorsDtype? Dtype => dtype;

    public override string Kind => "a global";

    /// <summary>Finds an allowed global; null for any other.</summary>
    public static PickleGlobal? Find(string module, string name) => s_allowed.GetValueOrDefault((module, name));
}
