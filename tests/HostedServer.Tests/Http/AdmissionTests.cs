using LocalLlm.Server.Http;
using Xunit;

namespace LocalLlm.Server.Tests.Http;

public sealed class AdmissionTests
{
    [Fact]
    public void Sequences_are_counted_and_come_back_once()
    {
        using var admission = new Admission();
        var first = admission.Enter(3, max: 4);
        Assert.Equal(429, Assert.Throws<ApiException>(() => admission.Enter(2, max: 4)).Error.Status);
        using var second = admission.Enter(1, max: 4);
        first.Dispose();
        first.Dispose();
        Assert.Equal(1, admission.Requests);
        using var third = admission.Enter(3, max: 4);
    }

    [Fact]
    public void A_request_of_more_than_all_is_let_in_where_it_is_alone()
    {
        using var admission = new Admission();
        using var permit = admission.Enter(9, max: 4);
        Assert.Throws<ApiException>(() => admission.Enter(1, max: 4));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 1)]
    [InlineData(16, 1)]
    [InlineData(17, 2)]
    [InlineData(2048, Admission.MaxOfOne)]
    [InlineData(4096, Admission.MaxOfOne)]
    public void Texts_count_by_what_they_hold_and_never_more_than_one_request_may(int texts, int sequences) => Assert.Equal(sequences, Admission.SequencesOf(texts));

    [Fact]
    public async Task A_closed_admission_refuses_new_requests_and_waits_for_the_last()
    {
        using var admission = new Admission();
        var permit = admission.Enter(1, max: 4);
        admission.Close();
        Assert.Equal(503, Assert.Throws<ApiException>(() => admission.Enter(1, max: 4)).Error.Status);
        var idle = admission.WaitForIdleAsync();
        Assert.False(idle.IsCompleted);
        permit.Dispose();
        await idle;
        await admission.WaitForIdleAsync();
    }
}
