namespace LocalLlm.Jinja.Values;

/// <summary>One group of the <c>groupby</c> filter: a pair that also has the attributes <c>grouper</c> and <c>list</c>.</summary>
internal sealed class GroupTuple(object? grouper, List<object?> list) : PyTuple(grouper, list);
