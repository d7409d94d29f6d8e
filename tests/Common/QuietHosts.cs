using System.Runtime.CompilerServices;

namespace LocalLlm.Tests;

/// <summary>Hosts that tests build log warnings and worse only: a line for every request would bury what failed.</summary>
internal static class QuietHosts
{
    [ModuleInitializer]
    internal static void SetLevel() => Environment.SetEnvironmentVariable("Logging__LogLevel__Default", "Warning");
}
