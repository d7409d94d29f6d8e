using System.Runtime.CompilerServices;

namespace LocalLlm.Tests;

/// <summary>Limits the logs of hosts that tests build to warnings and errors: a line for every request would bury the failures.</summary>
internal static class QuietHosts
{
    [ModuleInitializer]
    internal static void SetLevel() => Environment.SetEnvironmentVariable("Logging__LogLevel__Default", "Warning");
}
