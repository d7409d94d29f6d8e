using System.Diagnostics;
using Xunit;

namespace LocalLlm.Jinja.Tests;

/// <summary>Hostile templates: each must fail with a typed error, quickly and without much memory.</summary>
public sealed class HostileTemplateTests
{
    public static TheoryData<string, TemplateErrorKind> Bombs => new()
    {
        { "{{ 'a' * 10**9 }}", TemplateErrorKind.Limit },
        { "{{ 10**9 * 'a' }}", TemplateErrorKind.Limit },
        { "{{ [0] * 10**9 }}", TemplateErrorKind.Limit },
        { "{{ (0,) * 10**10 }}", TemplateErrorKind.Limit },
        { "{{ range(10**12) }}", TemplateErrorKind.Arithmetic },
        { "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", TemplateErrorKind.Limit },
        { "{% for i in range(99999) %}{% for j in range(99999) if false %}{% endfor %}{% endfor %}", TemplateErrorKind.Limit },
        { "{{ 9**(9**9) }}", TemplateErrorKind.Limit },
        { "{{ (2**60000) * (2**60000) }}", TemplateErrorKind.Limit },
        { "{{ 10**4000 * 10**301 }}", TemplateErrorKind.Value },
        { "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", TemplateErrorKind.Limit },
        { "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", TemplateErrorKind.Limit },
        { "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}", TemplateErrorKind.Limit },
        { "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}", TemplateErrorKind.Limit },
        { "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l|tojson }}", TemplateErrorKind.Limit },
        { "{% set ns = namespace(l=[1], m=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m] %}{% endfor %}{{ ns.l == ns.m }}", TemplateErrorKind.Limit },
        { "{{ ('a' * 1000)|replace('a', 'b' * 1000)|replace('b', 'c' * 1000) }}", TemplateErrorKind.Limit },
        { "{{ ('a' * 100000).replace('', 'b' * 100000) }}", TemplateErrorKind.Limit },
        { "{{ '{:^1000000000}'.format('a') }}", TemplateErrorKind.Limit },
        { "{{ '{:<{w}}'.format('a', w=10**30) }}", TemplateErrorKind.Limit },
        { "{{ '{:\u00e9>1000000000}'.format('a') }}", TemplateErrorKind.Limit },
        { "{{ '{:01000000000}'.format(1) }}", TemplateErrorKind.Limit },
        { "{{ '%1000000000s'|format('a') }}", TemplateErrorKind.Limit },
        { "{{ 'a\nb'|indent(10**9) }}", TemplateErrorKind.Limit },
        { "{{ '%1000000000d' % 1 }}", TemplateErrorKind.Limit },
        { "{{ '%*d' % (10**9, 1) }}", TemplateErrorKind.Limit },
        { "{{ '%.1000000000f' % 1.5 }}", TemplateErrorKind.Limit },
        { "{{ '%.9999d' % 1 ~ '%.1000000000d' % 1 }}", TemplateErrorKind.Limit },
        { "{{ '{:1000000000}'.format(1) }}", TemplateErrorKind.Limit },
        { "{{ '{:.1000000f}'.format(1.5) }}", TemplateErrorKind.Limit },
        { "{{ '{:{w}}'.format(1, w=10**9) }}", TemplateErrorKind.Limit },
        { "{{ [1]|tojson(indent=10**9) }}", TemplateErrorKind.Limit },
        { "{{ [[1]]|tojson(indent='x' * 900000)|length }}{{ [[[[[1]]]]]|tojson(indent='x' * 900000) }}", TemplateErrorKind.Limit },
        { "{{ (range(99999)|list|join('x' * 1000)) }}", TemplateErrorKind.Limit },
        { "{{ ('x' * 1000).join(range(99999)|map('string')) }}", TemplateErrorKind.Limit },
        { "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", TemplateErrorKind.Limit },
        { "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}", TemplateErrorKind.Limit },
        { "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}", TemplateErrorKind.Limit },
        { "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(100) }}", TemplateErrorKind.Limit },
        { "{% set x %}{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}{% endset %}", TemplateErrorKind.Limit },
        { "{% filter upper %}{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}{% endfilter %}", TemplateErrorKind.Limit },
        { "{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}", TemplateErrorKind.Limit },
        { "{% set s = 'ab' * 400000 %}{% for i in range(99999) %}{{ 'zz' in s }}{% endfor %}", TemplateErrorKind.Limit },
        { "{% set s = 'ab' * 400000 %}{% for i in range(99999) %}{% set t = s[1:] %}{% endfor %}", TemplateErrorKind.Limit },
        { "{% set s = 'a b ' * 200000 %}{% for i in range(99999) %}{% set t = s.split() %}{% endfor %}", TemplateErrorKind.Limit },
        { "{% set s = 'ab' * 400000 %}{% for i in range(99999) %}{% set t = s|upper %}{% endfor %}", TemplateErrorKind.Limit },
        { "{% set l = range(99999)|list %}{% for i in range(99999) %}{% set t = l == l[:] %}{% endfor %}", TemplateErrorKind.Limit },
        { "{% set l = range(99999)|list %}{% for i in range(99999) %}{% set t = l|sort %}{% endfor %}", TemplateErrorKind.Limit },
        { "{{ range(99999)|map('replace', '', 'x' * 1000)|join }}", TemplateErrorKind.Limit },
    };

    [Theory]
    [MemberData(nameof(Bombs))]
    public void A_bomb_is_refused_quickly_and_without_memory(string source, TemplateErrorKind kind)
    {
        var template = JinjaTemplate.Parse(source);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var clock = Stopwatch.StartNew();
        var error = Assert.Throws<TemplateException>(() => template.Render(new PyDict()));
        Assert.Equal(kind, error.Kind);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(5), $"took {clock.Elapsed}");
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 400 << 20);
    }

    public static TheoryData<string> DeepSources => new()
    {
        "{{ " + new string('(', 100_000) + "1" + new string(')', 100_000) + " }}",
        "{{ " + new string('[', 100_000),
        "{{ " + string.Concat(Enumerable.Repeat("{1:", 100_000)),
        "{{ " + string.Concat(Enumerable.Repeat("not ", 100_000)) + "1 }}",
        "{{ " + string.Concat(Enumerable.Repeat("- ", 100_000)) + "1 }}",
        "{{ 1" + string.Concat(Enumerable.Repeat(" + 1", 100_000)) + " }}",
        "{{ a" + string.Concat(Enumerable.Repeat(".a", 100_000)) + " }}",
        "{{ a" + string.Concat(Enumerable.Repeat("[0]", 100_000)) + " }}",
        "{{ a" + string.Concat(Enumerable.Repeat("()", 100_000)) + " }}",
        "{{ a" + string.Concat(Enumerable.Repeat("|e", 100_000)) + " }}",
        "{{ a" + string.Concat(Enumerable.Repeat("[a", 100_000)) + " }}",
        "{{ a" + string.Concat(Enumerable.Repeat("(a", 100_000)) + " }}",
        "{{ 1" + string.Concat(Enumerable.Repeat(" if 1 else 1", 50_000)) + " }}",
        "{{ 1" + string.Concat(Enumerable.Repeat(" is sameas 1 and 1", 20_000)) + " }}",
        string.Concat(Enumerable.Repeat("{% if 1 %}", 50_000)),
        string.Concat(Enumerable.Repeat("{% for i in x %}", 50_000)),
        string.Concat(Enumerable.Repeat("{% set x %}", 50_000)),
        string.Concat(Enumerable.Repeat("{% macro m() %}", 50_000)),
        "{% set " + new string('(', 100_000) + "a" + new string(')', 100_000) + " = 1 %}",
        new string('x', 2 << 20),
    };

    [Theory]
    [MemberData(nameof(DeepSources), DisableDiscoveryEnumeration = true)]
    public void Nesting_without_end_is_a_syntax_error(string source)
    {
        var clock = Stopwatch.StartNew();
        Assert.Equal(TemplateErrorKind.Syntax, Assert.Throws<TemplateException>(() => JinjaTemplate.Parse(source)).Kind);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(5), $"took {clock.Elapsed}");
    }

    [Theory]
    [InlineData("{{ [].append(1) }}")]
    [InlineData("{{ {}.update({1: 2}) }}")]
    [InlineData("{{ {}.pop(1) }}")]
    [InlineData("{{ ''.__class__.__mro__ }}")]
    [InlineData("{{ ''['__class__']['__base__'] }}")]
    [InlineData("{{ (''|attr('__class__')|attr('__mro__'))() }}")]
    [InlineData("{{ '{0.__class__.__init__.__globals__}'.format('') }}")]
    [InlineData("{{ '{x.__class__.y}'.format(**{'x': 1}) }}")]
    [InlineData("{{ ('{0.__class__.a}'|attr('format'))(1) }}")]
    [InlineData("{{ (['{0.__class__.a}']|map(attribute='format')|first)(1) }}")]
    [InlineData("{{ namespace.__init__.__globals__ }}")]
    [InlineData("{{ joiner.__init__.__globals__.os }}")]
    [InlineData("{{ cycler.__class__.__init__() }}")]
    [InlineData("{% macro m() %}{% endmacro %}{{ m.__call__.__globals__ }}")]
    [InlineData("{% for i in [1] %}{{ loop.__class__.x }}{% endfor %}")]
    public void Nothing_but_plain_values_is_in_reach(string source) =>
        Assert.Contains(
            Assert.Throws<TemplateException>(() => Rendering.Render(source)).Kind,
            new[] { TemplateErrorKind.Security, TemplateErrorKind.Undefined });

    [Theory]
    [InlineData("{{ ns.l }}")]
    [InlineData("{{ ns.l|tojson }}")]
    [InlineData("{{ ns.l|string }}")]
    [InlineData("{{ ns.l == ns.m }}")]
    [InlineData("{{ ns.l < ns.m }}")]
    [InlineData("{{ ns.l in [ns.m] }}")]
    [InlineData("{{ {ns.t: 1} }}")]
    public void A_value_nested_without_end_is_refused_and_not_a_stack_overflow(string use)
    {
        const string Nest = "{% set ns = namespace(l=[1], m=[1], t=(1,)) %}{% for i in range(90000) %}"
            + "{% set ns.l = [ns.l] %}{% set ns.m = [ns.m] %}{% set ns.t = (ns.t,) %}{% endfor %}";
        TemplateException? error = null;
        var thread = new Thread(() => error = Assert.Throws<TemplateException>(() =>
            Rendering.Render(Nest + use, limits: new TemplateLimits { BaseSteps = 10_000_000 })), 1 << 20);
        thread.Start();
        thread.Join();
        Assert.Equal(TemplateErrorKind.Limit, error?.Kind);
    }

    [Fact]
    public void Budgets_grow_with_the_input_so_that_a_long_chat_renders()
    {
        var text = new string('x', 400);
        var messages = string.Join(',', Enumerable.Range(0, 1000).Select(i => $$"""{"role":"{{(i % 2 == 0 ? "user" : "assistant")}}","content":"{{text}}"}"""));
        const string Quadratic = "{% for m in messages %}{% set ns = namespace(n=0) %}{% for o in messages[loop.index0:] %}"
            + "{% if o.role == 'user' %}{% set ns.n = ns.n + 1 %}{% endif %}{% endfor %}{{ m.content }}{{ ns.n }}{% endfor %}";
        var clock = Stopwatch.StartNew();
        Assert.True(Rendering.Render(Quadratic, $$"""{"messages":[{{messages}}]}""").Length > 400_000);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(10), $"took {clock.Elapsed}");
    }
}
