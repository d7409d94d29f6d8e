using static LocalLlm.Weights.ModelFolderProblems;

namespace LocalLlm.Weights;

/// <summary>
/// Reads the pickle of a state dict. It accepts only an allow-list of opcodes: those that torch.save writes for a state dict. A pickle is a
/// program for a stack machine; this machine can create only the plain values of <see cref="PickleValue"/>. Steps, stack, nesting and text
/// are bounded, and nothing here recurses.
/// </summary>
internal sealed class PickleReader
{
    // A tensor and its name take about 30 steps and two stack slots; Python's pickler sends them in batches of 1,000.
    private const int MaxSteps = 1_000_000;
    private const int MaxNames = 25_000;
    private const int MaxStack = 1 << 16;
    private const int MaxMarks = 16;
    private const int MaxDepth = 8;

    private static readonly PickleInt[] s_small = [.. Enumerable.Range(0, 256).Select(value => new PickleInt(value))];

    private readonly PickleInput _input;
    private readonly List<PickleValue> _stack = [];
    private readonly List<PickleValue> _memo = [];
    private readonly Stack<int> _marks = new();

    private PickleReader(PickleInput input) => _input = input;

    /// <summary>Reads a whole pickle.</summary>
    /// <param name="file">The file's name for messages.</param>
    /// <param name="bytes">The whole pickle.</param>
    /// <returns>The single value that it leaves on the stack.</returns>
    /// <exception cref="EngineException">It needs another opcode or global, or breaks a rule of the format or a limit; the message gives
    /// the byte.</exception>
    public static PickleValue Read(string file, byte[] bytes) => new PickleReader(new PickleInput(file, bytes)).Run();

    private PickleValue Run()
    {
        const byte Proto = 0x80, Stop = (byte)'.';
        if (_input.Opcode() != Proto || _input.Byte() is < 2 or > 5)
            throw _input.Error("is not the start of a pickle of protocol 2 to 5");
        for (var step = 0; step < MaxSteps; step++)
        {
            var opcode = _input.Opcode();
            if (opcode != Stop)
                Step(opcode);
            else if (_stack.Count == 1 && _marks.Count == 0 && _input.IsAtEnd)
                return _stack[0];
            else
                throw _input.Error($"found the end with {_stack.Count} values left and {(_input.IsAtEnd ? "no" : "more")} bytes, wanted one value and none");
        }

        throw _input.Error($"has more than {MaxSteps:N0} steps; a state dict of thousands of tensors has fewer");
    }

    private void Step(byte opcode)
    {
        switch (opcode)
        {
            case 0x95: _input.Frame(); break;
            case (byte)'(': Mark(); break;
            case (byte)'N': Push(PickleNone.Value); break;
            case 0x88: Push(PickleBool.True); break;
            case 0x89: Push(PickleBool.False); break;
            case (byte)'K': Push(s_small[_input.Byte()]); break;
            case (byte)'M': Push(new PickleInt(_input.UInt16())); break;
            case (byte)'J': Push(new PickleInt(_input.Int32())); break;
            case 0x8a: Push(new PickleInt(_input.Long1())); break;
            case (byte)'X': Push(new PickleText(_input.Text(_input.UInt32()))); break;
            case 0x8c: Push(new PickleText(_input.Text(_input.Byte()))); break;
            case (byte)')': Push(PickleTuple.Empty); break;
            case 0x85: Push(Tuple(_stack.Count - 1)); break;
            case 0x86: Push(Tuple(_stack.Count - 2)); break;
            case 0x87: Push(Tuple(_stack.Count - 3)); break;
            case (byte)'t': Push(Tuple(PopMark())); break;
            case (byte)'}': Push(new PickleDict(isOrdered: false)); break;
            case (byte)'s': SetItems(_stack.Count - 2); break;
            case (byte)'u': SetItems(PopMark()); break;
            case (byte)'c': Push(Global(_input.Line(), _input.Line())); break;
            case 0x93: StackGlobal(); break;
            case (byte)'R': Reduce(); break;
            case (byte)'Q': Push(PickleCalls.Storage(_input, Pop())); break;
            case (byte)'b': Build(); break;
            case (byte)'q': Memoize(_input.Byte()); break;
            case (byte)'r': Memoize(_input.UInt32()); break;
            case 0x94: Memoize((uint)_memo.Count); break;
            case (byte)'h': Push(Memo(_input.Byte())); break;
            case (byte)'j': Push(Memo(_input.UInt32())); break;
            default: throw _input.Error($"found opcode 0x{opcode:x2}, which a state dict does not need; nothing of the file was run. {TorchArchive.Remedy}");
        }
    }

    // The stack above a mark belongs to the object that the mark begins.
    private int Floor => _marks.TryPeek(out var mark) ? mark : 0;

    private void Push(PickleValue value)
    {
        if (_stack.Count == MaxStack)
            throw _input.Error($"needs a stack of more than {MaxStack:N0} values");
        if (value.Depth > MaxDepth)
            throw _input.Error($"is nested more than {MaxDepth} deep");
        _stack.Add(value);
    }

    private PickleValue Pop()
    {
        var value = Top();
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private PickleValue Top() => _stack.Count > Floor ? _stack[^1] : throw Empty();

    private void Mark()
    {
        if (_marks.Count == MaxMarks)
            throw _input.Error($"is nested more than {MaxMarks} deep");
        _marks.Push(_stack.Count);
    }

    private int PopMark() => _marks.TryPop(out var mark) ? mark : throw _input.Error("has a closing opcode without a mark");

    // Removes everything above a stack position and returns it.
    private PickleTuple Tuple(int from)
    {
        if (from < Floor)
            throw Empty();
        var items = _stack.GetRange(from, _stack.Count - from).ToArray();
        _stack.RemoveRange(from, items.Length);
        return items.Length == 0 ? PickleTuple.Empty : new PickleTuple(items);
    }

    private void SetItems(int from)
    {
        if (from <= Floor)
            throw Empty();
        if (_stack[from - 1] is not PickleDict dict || (_stack.Count - from) % 2 != 0)
            throw _input.Error($"sets items of {_stack[from - 1].Kind}, wanted pairs for a dictionary");
        for (var i = from; i < _stack.Count; i += 2)
        {
            if (_stack[i] is not PickleText key)
                throw _input.Error($"found {_stack[i].Kind} as a name in a dictionary, wanted text");
            if (dict.Items.Count == MaxNames)
                throw _input.Error($"found a dictionary of more than {MaxNames:N0} names; a state dict has thousands of tensors at most");
            if (!dict.TryAdd(key.Value, _stack[i + 1]))
                throw _input.Error($"the name {Quote(key.Value)} occurs twice in a dictionary, wanted once");
        }

        if (dict.Depth > MaxDepth)
            throw _input.Error($"is nested more than {MaxDepth} deep");
        _stack.RemoveRange(from, _stack.Count - from);
    }

    private PickleGlobal Global(string module, string name) =>
        PickleGlobal.Find(module, name)
        ?? throw _input.Error($"found the global {Quote(module + " " + name)}, which a state dict does not need; nothing of the file was run. {TorchArchive.Remedy}");

    private void StackGlobal()
    {
        var (name, module) = (Pop(), Pop());
        Push(module is PickleText { Value: var m } && name is PickleText { Value: var n }
            ? Global(m, n)
            : throw _input.Error($"found a global named by {module.Kind} and {name.Kind}, wanted text"));
    }

    private void Reduce()
    {
        var (arguments, function) = (Pop(), Pop());
        Push(PickleCalls.Reduce(_input, function, arguments));
    }

    private void Build()
    {
        var state = Pop();
        PickleCalls.Build(_input, Top(), state);
    }

    // Picklers number slots consecutively, so a slot can never be far away or be changed after it was used.
    private void Memoize(uint slot)
    {
        if (slot != _memo.Count)
            throw _input.Error($"found memo slot {slot}, wanted the next, {_memo.Count}");
        _memo.Add(Top());
    }

    private PickleValue Memo(uint slot) => slot < _memo.Count ? _memo[(int)slot] : throw _input.Error($"found memo slot {slot}, wanted one of {_memo.Count}");

    private EngineException Empty() => _input.Error("takes more values than the stack holds");
}
