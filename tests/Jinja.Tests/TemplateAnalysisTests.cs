using Xunit;

namespace LocalLlm.Jinja.Tests;

public sealed class TemplateAnalysisTests
{
    [Theory]
    [InlineData("{% for m in messages %}{{ m.content }}{% endfor %}", false)]
    [InlineData("{% for m in messages[1:] %}{% for c in m.content | list %}{% endfor %}{% endfor %}", true)]
    [InlineData("{% set loop_messages = messages %}{% for m in loop_messages %}{% for c in m['content'] %}{% endfor %}{% endfor %}", true)]
    [InlineData("{% macro r(content) %}{% for c in content %}{% endfor %}{% endmacro %}{% for m in messages %}{{ r(m.content) }}{% endfor %}", true)]
    [InlineData("{% for m in messages %}{% for c in m.tool_calls %}{% endfor %}{% endfor %}", false)]
    public void The_content_format_is_found_as_in_vllm(string source, bool isOpenAi) =>
        Assert.Equal(isOpenAi, new TemplateAnalysis(JinjaTemplate.Parse(source)).IteratesContent);
}
