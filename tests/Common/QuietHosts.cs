using System.Runtime.CompilerServices;

namespace LocalLlm.Tests;

/// <summary>Makes hosts that tests build log only warnings and errors: a line for every request would bury the failures.</summary>
internal static class QuietHosts
{
    [ModuleInitializer]
    internal static void SetLevel() => Environment.SetEnvironmentVariable("Logging__LogLevel__Default", "Warning");
}
