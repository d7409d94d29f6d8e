namespace LocalLlm.Jinja.Runtime;

/// <summary>
/// The names of one scope during analysis. The variable that a name means, and its initial value, follow the rules of Jinja2's
/// compiler (its <c>idtracking</c> module). These rules let assignments leak out of an <c>if</c> but not out of a <c>for</c>.
/// </summary>
internal sealed class Symbols(Symbols? parent, Function function, int level)
{
    /// <summary>How a variable of this scope gets its first value.</summary>
    internal enum Load
    {
        Undefined,
        Resolve,
        Alias,
        Parameter,
    }

    private readonly Dictionary<string, Load> _loads = new(StringComparer.Ordinal);
    private readonly HashSet<string> _references = new(StringComparer.Ordinal);
    private readonly HashSet<string> _stores = new(StringComparer.Ordinal);

    public Function Function => function;

    public int Level => level;

    private Symbols(Symbols original)
        : this(original.Parent, original.Function, original.Level)
    {
        _loads = new(original._loads, StringComparer.Ordinal);
        _references = new(original._references, StringComparer.Ordinal);
        _stores = new(original._stores, StringComparer.Ordinal);
    }

    public Symbols? Parent => parent;

    public Symbols Copy() => new(this);

    /// <summary>The innermost scope that has a variable of that name.</summary>
    public Symbols? Owner(string name)
    {
        var symbols = this;
        while (symbols is not null && !symbols._references.Contains(name))
            symbols = symbols.Parent;
        return symbols;
    }

    public void AddLoad(string name)
    {
        if (Owner(name) is null)
            Define(name, Load.Resolve);
    }

    public void AddStore(string name)
    {
        _stores.Add(name);
        if (!_references.Contains(name))
            Define(name, parent?.Owner(name) is null ? Load.Undefined : Load.Alias);
    }

    public void AddParameter(string name)
    {
        _stores.Add(name);
        Define(name, Load.Parameter);
    }

    private void Define(string name, Load load)
    {
        _references.Add(name);
        _loads[name] = load;
    }

    /// <summary>Merges the branches of an <c>if</c>: a variable that any branch assigns may also keep its previous value.</summary>
    public void Merge(IReadOnlyList<Symbols> branches)
    {
        var stored = branches.SelectMany(branch => branch._stores).Where(name => !_stores.Contains(name)).ToHashSet(StringComparer.Ordinal);
        foreach (var branch in branches)
        {
            _references.UnionWith(branch._references);
            _stores.UnionWith(branch._stores);
            foreach (var (name, load) in branch._loads)
                _loads[name] = load;
        }

        foreach (var name in stored)
            _loads[name] = parent?.Owner(name) is null ? Load.Resolve : Load.Alias;
    }

    /// <summary>The slot of a name, as seen from code in <paramref name="user"/>.</summary>
    public Variable Variable(string name, Function user) => new(user.Depth - function.Depth, function.Slot(level, name));

    /// <summary>What happens to the variables when this scope is entered.</summary>
    public Scope ToScope() => new([.. _loads.Select(load => new Scope.Load(
        Variable(load.Key, function),
        load.Value == Load.Resolve ? load.Key : null,
        load.Value == Load.Alias ? parent!.Owner(load.Key)!.Variable(load.Key, function) : null,
        load.Value == Load.Parameter))]);

    /// <summary>Every name assigned in this scope or in a surrounding one.</summary>
    public IEnumerable<string> AllStores()
    {
        for (var symbols = this; symbols is not null; symbols = symbols.Parent)
        {
            foreach (var name in symbols._stores)
                yield return name;
        }
    }
}
