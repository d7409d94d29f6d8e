namespace LocalLlm.Weights;

/// <summary>
/// The modules of a model, derived from the names of its tensors: <c>model.norm.weight</c> is a tensor of <c>model.norm</c>, which is in
/// <c>model</c>.
/// </summary>
internal sealed class ModelModules
{
    private readonly HashSet<string> _modules = new(StringComparer.Ordinal);
    private readonly HashSet<string> _leaves = new(StringComparer.Ordinal);

    /// <param name="tensors">The names of all tensors that the model needs.</param>
    public ModelModules(IEnumerable<string> tensors)
    {
        foreach (var name in tensors)
        {
            var leaf = Parent(name);
            _leaves.Add(leaf);
            for (var module = leaf; module.Length > 0 && _modules.Add(module);)
                module = Parent(module);
        }
    }

    /// <summary>
    /// Whether a tensor that the model does not read would change what it computes. That is so if it is in a layer (even one beyond the
    /// last) or beside a tensor that is read, such as a bias. Otherwise it belongs to a part that the model does not have, such as
    /// <c>mtp.*</c> or <c>v_head.*</c>.
    /// </summary>
    public bool Concerns(string tensor)
    {
        var module = Parent(tensor);
        if (_leaves.Contains(module))
            return true;
        while (module.Length > 0 && !_modules.Contains(module))
        {
            // An additional layer beside the model's own.
            if (IsNumber(Last(module)) && _modules.Contains(Parent(module)))
                return true;
            module = Parent(module);
        }

        for (; module.Length > 0; module = Parent(module))
        {
            if (IsNumber(Last(module)))
                return true;
        }

        return false;
    }

    private static string Parent(string name) => name.LastIndexOf('.') is var dot and > 0 ? name[..dot] : "";

    private static string Last(string name) => name[(name.LastIndexOf('.') + 1)..];

    private static bool IsNumber(string text) => text.Length > 0 && text.All(char.IsAsciiDigit);
}
