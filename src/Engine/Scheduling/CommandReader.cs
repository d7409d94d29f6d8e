using LocalLlm.Execution;
using LocalLlm.KvCache;

namespace LocalLlm.Scheduling;

/// <summary>Does what other threads ask of the engine loop, on the loop's thread, between two steps.</summary>
/// <param name="inbox">Where the commands come from.</param>
/// <param name="scheduler">Receives new sequences and aborts.</param>
/// <param name="kvCaches">The blocks that are drawn.</param>
/// <param name="outputs">Receives new requests and the ends of aborted ones.</param>
/// <param name="capabilities">Of the executor.</param>
/// <param name="drawSeed">Seed of a request that has none.</param>
internal sealed class CommandReader(
    EngineInbox inbox, Scheduler scheduler, IReadOnlyList<KvCacheManager> kvCaches, OutputProcessor outputs, ExecutorCapabilities capabilities, Func<ulong> drawSeed)
{
    private long _nextSequenceId;

    /// <summary>Whether the loop is to end when nothing runs any more.</summary>
    public bool IsDraining { get; private set; }

    /// <summary>Takes every command that has come.</summary>
    public void ObeyAll()
    {
        while (inbox.TryRead(out var command))
            Obey(command);
    }

    private void Obey(EngineCommand command)
    {
        switch (command)
        {
            case EngineCommand.Submit submit:
                Add(submit.Request);
                break;
            case EngineCommand.Abort abort:
                Abort(abort.Request);
                break;
            case EngineCommand.AbortAll:
                foreach (var sequence in scheduler.FinishAll(FinishReason.Abort))
                    outputs.End(sequence);
                break;
            case EngineCommand.Drain:
                IsDraining = true;
                break;
            case EngineCommand.ResetPrefixCache:
                scheduler.ResetPrefixCache();
                break;
            case EngineCommand.MapKvBlocks map:
                Draw(map);
                break;
            default:
                throw new InvalidOperationException($"The engine loop knows no command {command.GetType().Name}.");
        }
    }

    private void Add(LiveRequest request)
    {
        if (inbox.Closed is { } closed)
        {
            inbox.Complete(request, closed);
            return;
        }

        try
        {
            var sequences = RequestSequences.Create(request, capabilities, drawSeed, ref _nextSequenceId);
            scheduler.AddGroup(sequences);
            outputs.Add(request, sequences);
        }
        catch (EngineException refusal)
        {
            inbox.Complete(request, refusal);
        }
    }

    // It waits for an answer of its own.
    private void Draw(EngineCommand.MapKvBlocks map)
    {
        try
        {
            map.Map.TrySetResult(KvBlockMap.Draw(kvCaches, map.Cells));
        }
        catch (Exception failure)
        {
            map.Map.TrySetException(failure);
            throw;
        }
    }

    private void Abort(LiveRequest request)
    {
        foreach (var live in request.Sequences)
        {
            if (scheduler.Abort(live.Sequence.Id))
                outputs.End(live.Sequence);
        }

        inbox.Complete(request, null);
    }
}
