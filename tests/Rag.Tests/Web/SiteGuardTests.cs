using System.Net;
using LocalLlm.Samples.Rag.Web;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Web;

public sealed class SiteGuardTests
{
    [Theory]
    [InlineData("localhost", "127.0.0.1", true)]
    [InlineData("[::1]", "127.0.0.1", true)]
    [InlineData("192.0.2.1", "192.0.2.1", true)]
    [InlineData("192.0.2.2", "192.0.2.1", false)]
    [InlineData("192.0.2.2", "0.0.0.0", true)]
    [InlineData("[2001:db8::1]", "::", true)]
    [InlineData("evil.example", "0.0.0.0", false)]
    [InlineData("localhost.evil.example", "127.0.0.1", false)]
    [InlineData("", "127.0.0.1", false)]
    public void Only_the_names_of_this_server_are_answered(string host, string address, bool isOwn) => Assert.Equal(isOwn, SiteGuard.IsOwn(host, IPAddress.Parse(address)));
}
