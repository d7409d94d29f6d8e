using System.CommandLine;

namespace LocalLlm.Server.Commands;

internal static class ChatCommand
{
    public static Command Create(Terminal terminal) => new("chat", "stub");
}
