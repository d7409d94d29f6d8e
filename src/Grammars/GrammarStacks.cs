using Entry = LocalLlm.Grammars.GrammarStack.Entry;

namespace LocalLlm.Grammars;

/// <summary>
/// Creates stacks. Equal stacks are one object, and entries that return to one node are one entry, whose parents are one stack.
/// </summary>
/// <param name="nodes">The rules.</param>
internal sealed class GrammarStacks(GrammarNodes nodes)
{
    private const int StackBytes = 120;
    private const int EntryBytes = 24;

    /// <summary>The return node of a rule that is examined alone.</summary>
    public const int Unknown = -2;

    private readonly Dictionary<(bool IsShared, Entry[] Entries), GrammarStack> _known = new(new SameEntries());
    private readonly Dictionary<(GrammarStack A, GrammarStack B), GrammarStack> _unions = [];
    private readonly Dictionary<GrammarStack, GrammarStack?> _changed = [];
    private int _lastId;

    /// <summary>Number of stacks looked up or created so far: a measure of work.</summary>
    public long Made { get; private set; }

    /// <summary>Approximate memory that the stacks take, in bytes.</summary>
    public long HeldBytes { get; private set; }

    /// <summary>The stack of a rule that is examined alone.</summary>
    public GrammarStack Alone => Of([new(Unknown, null)], isShared: false);

    /// <summary>Forgets all stacks. Stacks that callers hold stay valid; <see cref="Renewed"/> creates their current versions.</summary>
    public void Clear()
    {
        _known.Clear();
        _unions.Clear();
        HeldBytes = 0;
    }

    /// <summary>The stack with these entries.</summary>
    /// <param name="entries">At least one, in any order. Overwritten.</param>
    /// <param name="isShared">Whether the rule is shared.</param>
    public GrammarStack Of(List<Entry> entries, bool isShared)
    {
        if (entries.Count > 1)
        {
            entries.Sort();
            var last = 0;
            for (var i = 1; i < entries.Count; i++)
            {
                if (!entries[i].IsAlike(entries[last]))
                    entries[++last] = entries[i];
                else if (entries[i].Parent is { } parent)
                    entries[last] = entries[last] with { Parent = Union(entries[last].Parent!, parent) };
            }

            entries.RemoveRange(last + 1, entries.Count - last - 1);
        }

        Made += entries.Count;
        Entry[] key = [.. entries];
        if (_known.TryGetValue((isShared, key), out var stack))
            return stack;
        _known.Add((isShared, key), stack = new(++_lastId, isShared, key));
        HeldBytes += StackBytes + (EntryBytes * (long)key.Length);
        return stack;
    }

    /// <summary>The union of two stacks.</summary>
    public GrammarStack Union(GrammarStack a, GrammarStack b)
    {
        if (ReferenceEquals(a, b))
            return a;
        if (a.Id > b.Id)
            (a, b) = (b, a);
        if (_unions.TryGetValue((a, b), out var known))
            return known;
        var union = Of([.. a.Entries, .. b.Entries], a.IsShared);
        HeldBytes += StackBytes;
        return _unions[(a, b)] = union;
    }

    /// <summary>The current version of a stack from an earlier generation.</summary>
    public GrammarStack Renewed(GrammarStack stack) => Begin(() => Changed(stack, entry => entry, static (_, stack) => null))!;

    /// <summary>The stack with all repetitions that may already end set back to the count where they first could.</summary>
    /// <param name="stack">The stack.</param>
    /// <param name="remaining">Lowered to the number of repetitions left to the one that has the fewest.</param>
    public GrammarStack Relaxed(GrammarStack stack, ref int remaining)
    {
        var fewest = remaining;
        var relaxed = Begin(() => Changed(stack, Relaxed, static (_, part) => part.HasLoop ? null : part))!;
        remaining = fewest;
        return relaxed;

        Entry Relaxed(Entry entry)
        {
            if (entry.Loop < 0 || nodes.LoopOf(entry.Loop) is not { Most: not int.MaxValue } loop || entry.Count <= Math.Max(1, loop.Least))
                return entry;
            fewest = Math.Min(fewest, Math.Max(0, loop.Most - entry.Count - Math.Max(0, loop.Needs)));
            return entry with { Count = Math.Max(1, loop.Least) };
        }
    }

    /// <summary>The stack up to the innermost shared rule; null: some path has no shared rule.</summary>
    public GrammarStack? Inside(GrammarStack stack) => Begin(() => Changed(stack, entry => entry, static (stacks, part) => part.IsShared ? stacks.Alone : null, mustEnd: true));

    /// <summary>
    /// The stack after one more character of the innermost rule, which is counted; null: no further character is allowed.
    /// </summary>
    public GrammarStack? Counted(GrammarStack stack, CountRoom room)
    {
        var entries = new List<Entry>(stack.Entries.Length);
        foreach (var entry in stack.Entries)
        {
            var loop = nodes.LoopOf(entry.Loop);
            int? most = loop.Most == int.MaxValue ? null : loop.Most;

            // Above the minimum the count matters only if there is a maximum.
            var count = most is null ? Math.Min(entry.Count + 1, Math.Max(1, loop.Least)) : entry.Count + 1;
            if (room.IsPossible(count, loop.Least, most))
                entries.Add(entry with { Count = count });
        }

        return entries.Count == 0 ? null : Of(entries, stack.IsShared);
    }

    private GrammarStack? Begin(Func<GrammarStack?> change)
    {
        _changed.Clear();
        return change();
    }

    // Handles each part once, however many paths lead to it. The third argument returns the replacement of a whole part; null:
    // handle its entries.
    private GrammarStack? Changed(GrammarStack stack, Func<Entry, Entry> change, Func<GrammarStacks, GrammarStack, GrammarStack?> whole, bool mustEnd = false)
    {
        if (whole(this, stack) is { } other)
            return other;
        if (_changed.TryGetValue(stack, out var known))
            return known;
        var entries = new List<Entry>(stack.Entries.Length);
        foreach (var entry in stack.Entries)
        {
            var parent = entry.Parent is null ? null : Changed(entry.Parent, change, whole, mustEnd);
            if (parent is null && (mustEnd || entry.Parent is not null))
                return _changed[stack] = null;
            entries.Add(change(entry) with { Parent = parent });
        }

        return _changed[stack] = Of(entries, stack.IsShared);
    }

    private sealed class SameEntries : IEqualityComparer<(bool IsShared, Entry[] Entries)>
    {
        public bool Equals((bool IsShared, Entry[] Entries) x, (bool IsShared, Entry[] Entries) y)
        {
            if (x.IsShared != y.IsShared || x.Entries.Length != y.Entries.Length)
                return false;
            for (var i = 0; i < x.Entries.Length; i++)
            {
                var (a, b) = (x.Entries[i], y.Entries[i]);
                if (a.Return != b.Return || a.Loop != b.Loop || a.Count != b.Count || !ReferenceEquals(a.Parent, b.Parent))
                    return false;
            }

            return true;
        }

        // An LCG step for each part (Knuth, MMIX).
        public int GetHashCode((bool IsShared, Entry[] Entries) key)
        {
            var hash = key.IsShared ? 1L : 0L;
            foreach (var entry in key.Entries)
                hash = Mixed(Mixed(Mixed(Mixed(hash, entry.Return), entry.Loop), entry.Count), entry.Parent?.Id ?? 0);
            return (int)(hash >> 32);
        }

        private static long Mixed(long hash, int part) => unchecked(((hash ^ part) * 6364136223846793005) + 1442695040888963407);
    }
}
