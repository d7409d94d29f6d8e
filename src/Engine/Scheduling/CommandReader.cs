using LocalLlm.Execution;
using LocalLlm.KvCache;

namespace LocalLlm.Scheduling;

/// <summary>Carries out other threads' commands on the engine loop's thread, between two steps.</summary>
/// <param name="inbox">Holds the commands.</param>
/// <param name="scheduler">Receives new sequences and aborts.</param>
/// <param name="kvCaches">The KV caches that a map of blocks shows.</param>
/// <param name="outputs">Receives new requests, and the sequences of aborted ones.</param>
/// <param name="capabilities">The executor's capabilities.</param>
/// <param name="drawSeed">Draws a seed for a request without one.</param>
internal sealed class CommandReader(
    EngineInbox inbox, Scheduler scheduler, IReadOnlyList<KvCacheManager> kvCaches, OutputProcessor outputs, ExecutorCapabilities capabilities, Func<ulong> drawSeed)
{
    private long _nextSequenceId;

    /// <summary>Whether the loop should end once no sequence runs.</summary>
    public bool IsDraining { get; private set; }

    /// <summary>Carries out all queued commands.</summary>
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

    // The caller of this command waits for its own task, so a failure must reach it too.
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
