using System.Net;

namespace LocalLlm.Hub;

/// <summary>Counts the bytes of response bodies as they are read, and stops at a limit. Thread-safe.</summary>
/// <param name="limit">Max bytes.</param>
internal sealed class ByteMeter(long limit)
{
    private long _read;

    /// <summary>Bytes read so far.</summary>
    public long Read => Interlocked.Read(ref _read);

    /// <summary>Bytes that may still be read.</summary>
    public long Left => limit - Read;

    /// <summary>Counts further bytes.</summary>
    /// <exception cref="EngineException">Kind Environment: the limit is exceeded.</exception>
    public void Add(int bytes)
    {
        if (Interlocked.Add(ref _read, bytes) > limit)
            throw new EngineException(EngineErrorKind.Environment, $"the hub sends more than the {limit:N0} bytes that a plan may fetch; give the model's folder, or a folder with its config.json.");
    }
}

/// <summary>Meters the body of every response.</summary>
internal sealed class MeteredHandler(HttpMessageHandler inner, ByteMeter meter) : DelegatingHandler(inner)
{
    /// <inheritdoc/>
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
        response.Content = new MeteredContent(response.Content, meter);
        return response;
    }

    private sealed class MeteredContent : HttpContent
    {
        private readonly HttpContent _inner;
        private readonly ByteMeter _meter;

        public MeteredContent(HttpContent inner, ByteMeter meter)
        {
            (_inner, _meter) = (inner, meter);
            foreach (var (name, values) in inner.Headers.NonValidated)
                Headers.TryAddWithoutValidation(name, values);
        }

        protected override async Task<Stream> CreateContentReadStreamAsync() =>
            new MeteredStream(await _inner.ReadAsStreamAsync().ConfigureAwait(false), _meter);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            using var body = await CreateContentReadStreamAsync().ConfigureAwait(false);
            await body.CopyToAsync(stream).ConfigureAwait(false);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                _inner.Dispose();
            base.Dispose(disposing);
        }
    }

    private sealed class MeteredStream(Stream inner, ByteMeter meter) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(byte[] buffer, int offset, int count) => Metered(inner.Read(buffer, offset, count));

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            Metered(await inner.ReadAsync(buffer, cancellationToken).ConfigureAwait(false));

        public override void Flush()
        {
            // The stream is read-only.
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                inner.Dispose();
            base.Dispose(disposing);
        }

        private int Metered(int count)
        {
            meter.Add(count);
            return count;
        }
    }
}
