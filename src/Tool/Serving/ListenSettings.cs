using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace LocalLlm.Tool.Serving;

/// <summary>Where <c>localllm serve</c> listens, and whom a browser lets call it.</summary>
internal sealed record ListenSettings
{
    /// <summary>The address or name; null: all addresses.</summary>
    public string? Host { get; init; }

    /// <summary>The port; 0: a free one.</summary>
    public int Port { get; init; }

    /// <summary>A Unix socket instead, or null.</summary>
    public string? UnixSocket { get; init; }

    /// <summary>What a proxy puts before every path: empty, or beginning with <c>/</c>.</summary>
    public string RootPath { get; init; } = "";

    /// <summary>PEM; null: plain HTTP.</summary>
    public string? CertificateFile { get; init; }

    /// <summary>PEM; null: the key is in the certificate's file.</summary>
    public string? KeyFile { get; init; }

    /// <summary>PEM of those who sign clients' certificates; null: the system's.</summary>
    public string? AuthoritiesFile { get; init; }

    /// <summary>Whether clients must have a certificate.</summary>
    public ClientCertificateMode ClientCertificates { get; init; }

    /// <summary>CORS.</summary>
    public IReadOnlyList<string> AllowedOrigins { get; init; } = ["*"];

    /// <summary>CORS.</summary>
    public IReadOnlyList<string> AllowedMethods { get; init; } = ["*"];

    /// <summary>CORS.</summary>
    public IReadOnlyList<string> AllowedHeaders { get; init; } = ["*"];

    /// <summary>CORS.</summary>
    public bool AllowCredentials { get; init; }

    /// <summary>A model for embeddings beside the engine's, or null.</summary>
    public string? EmbeddingModel { get; init; }

    /// <summary>Whether the model is an encoder, which embeds texts and generates none.</summary>
    public bool IsEncoder { get; init; }

    /// <summary>Whether there is a page at <c>/</c>.</summary>
    public bool HasPage { get; init; } = true;
}
