using System.CommandLine;

namespace LocalLlm.Server.Commands;

internal static class RenderCommand
{
    public static Command Create(Terminal terminal) => new("render", "stub");
}
