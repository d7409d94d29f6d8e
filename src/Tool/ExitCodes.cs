namespace LocalLlm.Tool;

/// <summary>The exit codes of the process.</summary>
internal static class ExitCodes
{
    /// <summary>Done; single lines of a file may still hold an <c>error</c>.</summary>
    public const int Success = 0;

    /// <summary>The engine, the model's folder or a file failed.</summary>
    public const int Failure = 1;

    /// <summary>The command line is invalid.</summary>
    public const int Usage = 2;

    /// <summary>
    /// The engine failed while serving, on this node or on another one (sysexits' EX_SOFTWARE): start it again, on all nodes.
    /// </summary>
    public const int EngineDead = 70;

    /// <summary>The reader of the output has gone: 128 + SIGPIPE, as shells report it.</summary>
    public const int ReaderGone = 141;

    /// <summary>Ctrl+C: 128 + SIGINT, as shells report it.</summary>
    public const int Cancelled = 130;
}
