namespace LocalLlm.Jinja.Runtime;

/// <summary>The size of the variables that a caller passed in; the budgets grow with it.</summary>
internal readonly record struct InputSize(long Values, long Length)
{
    public static InputSize Measure(object? root)
    {
        long values = 0, length = 0;
        var stack = new Stack<object?>();
        stack.Push(root);
        while (stack.TryPop(out var value))
        {
            values++;
            switch (value)
            {
                case string s:
                    length += s.Length;
                    break;
                case List<object?> list:
                    list.ForEach(stack.Push);
                    break;
                case PyDict dict:
                    foreach (var (key, item) in dict.Items)
                    {
                        length += (key as string)?.Length ?? 0;
                        stack.Push(item);
                    }

                    break;
            }
        }

        return new InputSize(values, length);
    }
}
