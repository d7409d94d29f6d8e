using System.Globalization;
using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>The methods of <c>str</c>.</summary>
internal static class StringMethods
{
    private delegate object? Body(RenderContext c, string text, object?[] args);

    private static readonly Dictionary<string, (Signature Signature, Body Body)> Methods = new(StringComparer.Ordinal);

    // Methods whose results stay escaped on markup; the arguments named in the second set are escaped first.
    private static readonly HashSet<string> MarkupMethods =
    [
        "split", "rsplit", "splitlines", "capitalize", "title", "lower", "upper", "replace", "lstrip", "rstrip", "strip", "removeprefix",
        "removesuffix", "partition", "rpartition", "join",
    ];

    static StringMethods()
    {
        AddCasing();
        AddSearch();
        AddShape();
        AddPredicates();
    }

    /// <summary>Binds a method to a string; false if there is no method of that name.</summary>
    public static bool TryBind(string text, bool isMarkup, string name, out object? method)
    {
        method = null;
        if (name == "format")
        {
            method = new NativeFunction(name, (c, args) => StringFormat.Call(c, text, args, isMarkup), "function");
            return true;
        }

        if (Omitted.IsStringMethod(name))
        {
            method = new NativeFunction(name, (_, _) => throw Omitted.Refuse("method", "str." + name));
            return true;
        }

        if (!Methods.TryGetValue(name, out var found))
            return false;
        method = new NativeFunction(name, (c, args) =>
        {
            var bound = found.Signature.Bind(args);
            if (!isMarkup)
                return found.Body(c, text, bound);
            if (name == "replace")
                bound[1] = Markup.Escape(c, bound[1]);
            if (name == "join")
                bound[0] = Py.ToList(c, bound[0]).ConvertAll<object?>(item => Markup.Escape(c, item));
            var result = found.Body(c, text, bound);
            return MarkupMethods.Contains(name) ? Markup.Wrap(result) : result;
        });
        return true;
    }

    private static void Add(string name, (string Name, object? Default)[] parameters, Body body) =>
        Methods.Add(name, (new Signature("str." + name, parameters), body));

    private static void AddSimple(string name, Func<string, string> map) =>
        Add(name, [], (c, text, _) =>
        {
            if (!System.Text.Ascii.IsValid(text))
                c.Explode(text);
            c.Allocate(text.Length);
            return c.Text(map(text));
        });

    private static void AddCasing()
    {
        AddSimple("upper", PyCasing.Upper);
        AddSimple("lower", PyCasing.Lower);
        AddSimple("title", PyCasing.Title);
        AddSimple("capitalize", PyCasing.Capitalize);
    }

    private static void AddSearch()
    {
        (string, object?)[] region = [("<sub>", Signature.Required), ("<start>", null), ("<end>", null)];
        Add("find", region, (c, text, args) => TextSearch.Find(c, text, args, last: false));
        Add("rfind", region, (c, text, args) => TextSearch.Find(c, text, args, last: true));
        Add("index", region, (c, text, args) => Found(TextSearch.Find(c, text, args, last: false)));
        Add("rindex", region, (c, text, args) => Found(TextSearch.Find(c, text, args, last: true)));
        Add("count", region, (c, text, args) => TextSearch.Count(c, text, args));
        Add("startswith", region, (c, text, args) => TextSearch.HasAffix(c, text, args, atStart: true));
        Add("endswith", region, (c, text, args) => TextSearch.HasAffix(c, text, args, atStart: false));
        Add("replace", [("<old>", Signature.Required), ("<new>", Signature.Required), ("<count>", -1L)], (c, text, args) =>
            TextSearch.Replace(c, text, TextSearch.Text(args[0]), TextSearch.Text(args[1]), Integer(args[2])));
        (string, object?)[] split = [("sep", null), ("maxsplit", -1L)];
        Add("split", split, (c, text, args) => Strings(TextSearch.Split(c, text, args[0], Integer(args[1]), fromRight: false)));
        Add("rsplit", split, (c, text, args) => Strings(TextSearch.Split(c, text, args[0], Integer(args[1]), fromRight: true)));
        Add("splitlines", [("keepends", false)], (c, text, args) =>
        {
            c.Allocate(text.Length);
            var lines = PyText.SplitLines(text, PyNumber.IsInteger(args[0]) ? Py.Truthy(args[0]) : throw NotInteger(args[0]));
            c.AllocateItems(lines.Count);
            return Strings(lines);
        });
        Add("partition", [("<sep>", Signature.Required)], (c, text, args) => Partition(c, text, TextSearch.Text(args[0]), last: false));
        Add("rpartition", [("<sep>", Signature.Required)], (c, text, args) => Partition(c, text, TextSearch.Text(args[0]), last: true));
        Add("removeprefix", [("<prefix>", Signature.Required)], (c, text, args) => TextSearch.Text(args[0]) is var prefix
            && text.StartsWith(prefix, StringComparison.Ordinal) ? c.Text(text[prefix.Length..]) : text);
        Add("removesuffix", [("<suffix>", Signature.Required)], (c, text, args) => TextSearch.Text(args[0]) is var suffix
            && text.EndsWith(suffix, StringComparison.Ordinal) ? c.Text(text[..^suffix.Length]) : text);
    }

    private static void AddShape()
    {
        (string, object?)[] chars = [("<chars>", null)];
        Add("strip", chars, (c, text, args) => TextShape.Strip(c, text, args[0], left: true, right: true));
        Add("lstrip", chars, (c, text, args) => TextShape.Strip(c, text, args[0], left: true, right: false));
        Add("rstrip", chars, (c, text, args) => TextShape.Strip(c, text, args[0], left: false, right: true));
        Add("join", [("<iterable>", Signature.Required)], (c, text, args) => TextShape.Join(c, text, args[0]));
    }

    private static void AddPredicates()
    {
        AddPredicate("isspace", (s, i) => PyText.IsSpace(s[i]));
        AddPredicate("isalpha", IsLetter);
        AddPredicate("isdigit", IsDigit);
        AddPredicate("isdecimal", IsDecimal);
        AddPredicate("isnumeric", IsNumeric);
        AddPredicate("isalnum", IsAlphanumeric);
        Add("isascii", [], (_, text, _) => System.Text.Ascii.IsValid(text));
        Add("islower", [], (c, text, _) => HasCase(c, text, UnicodeCategory.LowercaseLetter, UnicodeCategory.UppercaseLetter));
        Add("isupper", [], (c, text, _) => HasCase(c, text, UnicodeCategory.UppercaseLetter, UnicodeCategory.LowercaseLetter));
    }

    private static void AddPredicate(string name, Func<string, int, bool> predicate) =>
        Add(name, [], (c, text, _) => text.Length > 0 && All(c, text, predicate));

    private static bool All(RenderContext c, string text, Func<string, int, bool> predicate)
    {
        c.Work(text.Length * 8L);
        for (var i = 0; i < text.Length; i += char.IsSurrogatePair(text, i) ? 2 : 1)
        {
            if (!predicate(text, i))
                return false;
        }

        return true;
    }

    /// <summary>Whether the text has letters of one case and none of the other.</summary>
    public static bool HasCase(RenderContext c, string text, UnicodeCategory wanted, UnicodeCategory other)
    {
        var found = false;
        return All(c, text, (s, i) =>
        {
            var category = CharUnicodeInfo.GetUnicodeCategory(s, i);
            found |= category == wanted;
            return category != other && category != UnicodeCategory.TitlecaseLetter;
        }) && found;
    }

    private static bool IsAlphanumeric(string s, int i) => IsLetter(s, i) || IsNumeric(s, i);

    private static bool IsLetter(string s, int i) => CharUnicodeInfo.GetUnicodeCategory(s, i) <= UnicodeCategory.OtherLetter;

    private static bool IsDecimal(string s, int i) => CharUnicodeInfo.GetUnicodeCategory(s, i) == UnicodeCategory.DecimalDigitNumber;

    private static bool IsDigit(string s, int i) => CharUnicodeInfo.GetDigitValue(s, i) >= 0;

    private static bool IsNumeric(string s, int i) => CharUnicodeInfo.GetNumericValue(s, i) >= 0;

    private static PyTuple Partition(RenderContext c, string text, string separator, bool last)
    {
        if (separator.Length == 0)
            throw TemplateException.Value("empty separator");
        c.Allocate(text.Length);
        var at = last ? text.LastIndexOf(separator, StringComparison.Ordinal) : text.IndexOf(separator, StringComparison.Ordinal);
        if (at < 0)
            return last ? new PyTuple("", "", text) : new PyTuple(text, "", "");
        return new PyTuple(text[..at], separator, text[(at + separator.Length)..]);
    }

    private static long Found(long index) => index >= 0 ? index : throw TemplateException.Value("substring not found");

    private static List<object?> Strings(List<string> strings) => strings.ConvertAll(s => (object?)s);

    private static long Integer(object? value) => PyNumber.TryIndex(value, out var index) ? index : throw NotInteger(value);

    private static TemplateException NotInteger(object? value) => (value as Undefined)?.Fail()
        ?? TemplateException.Type($"'{Py.TypeName(value)}' object cannot be interpreted as an integer");
}
