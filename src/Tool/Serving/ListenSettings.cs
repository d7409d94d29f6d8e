using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace LocalLlm.Tool.Serving;

/// <summary>Where <c>localllm serve</c> listens, and which web origins may call it (CORS).</summary>
internal sealed record ListenSettings
{
    /// <summary>The address or name; null: all addresses.</summary>
    public string? Host { get; init; }

    /// <summary>The port; 0: a free one.</summary>
    public int Port { get; init; }

    /// <summary>A Unix socket to listen on instead, or null.</summary>
    public string? UnixSocket { get; init; }

    /// <summary>The path prefix that a proxy adds to every path: empty, or beginning with <c>/</c>.</summary>
    public string RootPath { get; init; } = "";

    /// <summary>The certificate file (PEM); null: plain HTTP.</summary>
    public string? CertificateFile { get; init; }

    /// <summary>The key file (PEM); null: the key is in the certificate's file.</summary>
    public string? KeyFile { get; init; }

    /// <summary>The authorities that sign clients' certificates (PEM); null: the system's.</summary>
    public string? AuthoritiesFile { get; init; }

    /// <summary>Whether clients must have a certificate.</summary>
    public ClientCertificateMode ClientCertificates { get; init; }

    /// <summary>CORS: the allowed origins.</summary>
    public IReadOnlyList<string> AllowedOrigins { get; init; } = ["*"];

    /// <summary>CORS: the allowed methods.</summary>
    public IReadOnlyList<string> AllowedMethods { get; init; } = ["*"];

    /// <summary>CORS: the allowed headers.</summary>
    public IReadOnlyList<string> AllowedHeaders { get; init; } = ["*"];

    /// <summary>CORS: whether credentials are allowed.</summary>
    public bool AllowCredentials { get; init; }

    /// <summary>A model for embeddings in addition to the engine's model, or null.</summary>
    public string? EmbeddingModel { get; init; }

    /// <summary>Whether the model is an encoder, which embeds texts and generates none.</summary>
    public bool IsEncoder { get; init; }

    /// <summary>Whether there is a web page at <c>/</c>.</summary>
    public bool HasPage { get; init; } = true;
}
