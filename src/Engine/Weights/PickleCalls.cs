using static LocalLlm.Weights.ModelFolderProblems;

namespace LocalLlm.Weights;

/// <summary>
/// The meaning of the three opcodes that call something in Python, within a state dict. Here each one only creates a value from its
/// arguments, after checking their number and kinds.
/// </summary>
internal static class PickleCalls
{
    private const int MaxDims = 8; // as in safetensors
    private const int MaxKeyDigits = 20;

    /// <summary>REDUCE: an empty OrderedDict, a tensor, a parameter.</summary>
    public static PickleValue Reduce(PickleInput input, PickleValue function, PickleValue arguments)
    {
        if (function is not PickleGlobal global)
            throw input.Error($"found a call of {function.Kind}, wanted one of a global; it was not made");
        if (arguments is not PickleTuple { Items: var items })
            throw input.Error($"found a call with {arguments.Kind}, wanted a tuple of arguments");
        return global.What switch
        {
            PickleGlobalKind.OrderedDict when items.Length == 0 => new PickleDict(isOrdered: true),
            // storage, offset, size, stride, requires_grad, backward_hooks [, metadata]
            PickleGlobalKind.TensorV2 when items.Length is 6 or 7 && Tail(items, 6) && items[0] is PickleStorage { Dtype: { } dtype } storage =>
                Tensor(input, storage, dtype, items),
            // the same with the type before the metadata
            PickleGlobalKind.TensorV3 when items.Length is 7 or 8 && Tail(items, 7) && items[0] is PickleStorage { Dtype: null } bytes
                && items[6] is PickleGlobal { What: PickleGlobalKind.Dtype, Dtype: { } type } => Tensor(input, bytes, type, items),
            // data, requires_grad, backward_hooks
            PickleGlobalKind.Parameter when items is [PickleTensor tensor, PickleBool, PickleDict { Items.Count: 0 }] => tensor,
            _ => throw input.Error($"found a call of {global.What} with {items.Length} arguments that torch.save does not write"),
        };
    }

    /// <summary>BINPERSID: <c>('storage', type, key, location, count)</c>.</summary>
    public static PickleStorage Storage(PickleInput input, PickleValue id)
    {
        if (id is not PickleTuple { Items: [PickleText { Value: "storage" }, PickleGlobal { What: PickleGlobalKind.Storage } type, PickleText key, PickleText, PickleInt count] })
            throw input.Error("found a persistent id that is not ('storage', type, key, location, count)");
        // The key becomes part of an entry's name.
        if (key.Value.Length is 0 or > MaxKeyDigits || !key.Value.All(char.IsAsciiDigit))
            throw input.Error($"found the storage key {Quote(key.Value)}, wanted 1 to {MaxKeyDigits} digits");
        return new PickleStorage(type.Dtype, key.Value, count.Value);
    }

    /// <summary>
    /// BUILD: a state dict carries <c>_metadata</c>, the versions of its modules, which is dropped. No attribute is ever set.
    /// </summary>
    public static void Build(PickleInput input, PickleValue target, PickleValue state)
    {
        if (target is not PickleDict { IsOrdered: true } || state is not PickleDict { Items: var items } || items.Keys.Any(key => key != "_metadata"))
            throw input.Error($"found attributes for {target.Kind}, wanted none but _metadata of an OrderedDict; they were not set");
    }

    // The arguments between the strides and the metadata: requires_grad, no hooks.
    private static bool Tail(PickleValue[] items, int metadata) =>
        items[4] is PickleBool && items[5] is PickleDict { Items.Count: 0 }
        && (items.Length == metadata || items[metadata] is PickleNone or PickleDict { Items.Count: 0 });

    private static PickleTensor Tensor(PickleInput input, PickleStorage storage, SafetensorsDtype dtype, PickleValue[] items)
    {
        if (items[1] is not PickleInt offset || items[2] is not PickleTuple size || items[3] is not PickleTuple stride)
            throw input.Error("found a tensor whose offset, size or stride is of another kind than number, tuple, tuple");
        var (shape, strides) = (Numbers(input, size), Numbers(input, stride));
        return shape.Length == strides.Length
            ? new PickleTensor(storage, dtype, offset.Value, shape, strides)
            : throw input.Error($"found a tensor of {shape.Length} dimensions with {strides.Length} strides");
    }

    private static long[] Numbers(PickleInput input, PickleTuple tuple)
    {
        if (tuple.Items.Length > MaxDims)
            throw input.Error($"found a tensor of {tuple.Items.Length} dimensions, wanted at most {MaxDims}");
        var numbers = new long[tuple.Items.Length];
        for (var i = 0; i < numbers.Length; i++)
            numbers[i] = tuple.Items[i] is PickleInt number ? number.Value : throw input.Error($"found {tuple.Items[i].Kind} in a shape, wanted a number");
        return numbers;
    }
}
