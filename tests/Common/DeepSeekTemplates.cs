namespace LocalLlm.Tests;

/// <summary>Our own chat templates that write the prompt formats of DeepSeek's full models.</summary>
internal static class DeepSeekTemplates
{
    /// <summary>
    /// V3.1: the variable <c>thinking</c> decides how a response begins. Tool calls have neither a type nor a fence, and a response to tool
    /// outputs has no tag. Arguments are appended as text.
    /// </summary>
    public const string V31 = """
        {%- if thinking is not defined -%}{%- set thinking = false -%}{%- endif -%}
        {%- set state = namespace(asked=false) -%}
        {{- bos_token -}}
        {%- for m in messages if m.role == "system" -%}{{- m.content -}}{%- endfor -%}
        {%- for m in messages -%}
        {%- if m.role == "user" -%}
        {{- "<｜User｜>" ~ m.content -}}
        {%- set state.asked = true -%}
        {%- elif m.role == "tool" -%}
        {{- "<｜tool▁output▁begin｜>" ~ m.content ~ "<｜tool▁output▁end｜>" -}}
        {%- set state.asked = false -%}
        {%- elif m.role == "assistant" -%}
        {%- if state.asked -%}{{- "<｜Assistant｜></think>" -}}{%- endif -%}
        {{- (m.content or "").split("</think>")[-1] -}}
        {%- if m.tool_calls -%}
        {{- "<｜tool▁calls▁begin｜>" -}}
        {%- for c in m.tool_calls -%}
        {{- "<｜tool▁call▁begin｜>" + c.function.name + "<｜tool▁sep｜>" + c.function.arguments + "<｜tool▁call▁end｜>" -}}
        {%- endfor -%}
        {{- "<｜tool▁calls▁end｜>" -}}
        {%- endif -%}
        {{- eos_token -}}
        {%- set state.asked = false -%}
        {%- endif -%}
        {%- endfor -%}
        {%- if add_generation_prompt and state.asked -%}{{- "<｜Assistant｜>" ~ ("<think>" if thinking else "</think>") -}}{%- endif -%}
        """;

    /// <summary>V3 and R1-0528: a tool call is a type, a name and fenced arguments. The model opens its thought itself.</summary>
    public const string R10528 = """
        {{- bos_token -}}
        {%- for m in messages if m.role == "system" -%}{{- m.content -}}{%- endfor -%}
        {%- set state = namespace(outputs=false) -%}
        {%- for m in messages -%}
        {%- if m.role == "tool" -%}
        {{- ("\n" if state.outputs else "<｜tool▁outputs▁begin｜>") ~ "<｜tool▁output▁begin｜>" ~ m.content ~ "<｜tool▁output▁end｜>" -}}
        {%- set state.outputs = true -%}
        {%- else -%}
        {%- if state.outputs -%}{{- "<｜tool▁outputs▁end｜>" -}}{%- endif -%}
        {%- if m.role == "user" -%}
        {{- "<｜User｜>" ~ m.content ~ "<｜Assistant｜>" -}}
        {%- elif m.role == "assistant" -%}
        {{- (m.content or "").split("</think>")[-1] -}}
        {%- if m.tool_calls -%}
        {{- "<｜tool▁calls▁begin｜>" -}}
        {%- for c in m.tool_calls -%}
        {{- ("" if loop.first else "\n") + "<｜tool▁call▁begin｜>" + c.type + "<｜tool▁sep｜>" + c.function.name + "\n```json\n" + c.function.arguments + "\n```<｜tool▁call▁end｜>" -}}
        {%- endfor -%}
        {{- "<｜tool▁calls▁end｜>" -}}
        {%- endif -%}
        {{- eos_token -}}
        {%- endif -%}
        {%- set state.outputs = false -%}
        {%- endif -%}
        {%- endfor -%}
        {%- if state.outputs -%}{{- "<｜tool▁outputs▁end｜>" -}}{%- endif -%}
        """;
}
