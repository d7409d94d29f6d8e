namespace LocalLlm;

/// <summary>Refuses options that apply to text generation alone.</summary>
internal static class EncoderOptionsValidator
{
    /// <summary>Throws if an option that applies to generation alone differs from its default.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions, naming all such options; Parameter is the first one's name.</exception>
    public static void Validate(EngineOptions options)
    {
        var usual = new EngineOptions();
        (string Name, bool IsGiven)[] all =
        [
            ("max_num_seqs", options.MaxNumSeqs is not null),
            ("long_prefill_token_threshold", options.LongPrefillTokenThreshold != usual.LongPrefillTokenThreshold),
            ("enable_chunked_prefill", options.EnableChunkedPrefill != usual.EnableChunkedPrefill),
            ("enable_prefix_caching", options.EnablePrefixCaching != usual.EnablePrefixCaching),
            ("gpu_memory_utilization", options.GpuMemoryUtilization is not null),
            ("pipeline_parallel_size", options.PipelineParallel != 1),
            ("pipeline_layers", options.PipelineLayers is not null),
            ("data_parallel_size", options.DataParallel != 1),
            ("enable_expert_parallel", options.EnableExpertParallel),
            ("enable_eplb", options.ExpertBalancing is not null),
            ("enforce_eager", options.EnforceEager),
            ("kv_cache_memory_bytes", options.KvCacheMemoryBytes is not null),
            ("num_gpu_blocks_override", options.NumGpuBlocksOverride is not null),
            ("kv_cache_dtype", options.KvCacheDtype != usual.KvCacheDtype),
            ("batch_invariant", options.BatchInvariant),
            ("quantization", options.Quantization is not null),
            ("pin_threads", options.PinThreads),
            ("max_waiting_requests", options.MaxWaitingRequests != usual.MaxWaitingRequests),
            ("scheduling_policy", options.SchedulingPolicy != usual.SchedulingPolicy),
            ("scheduler_reserve_full_isl", options.SchedulerReserveFullIsl != usual.SchedulerReserveFullIsl),
            ("watermark", options.Watermark != usual.Watermark),
            ("speculative_config", options.Speculation != usual.Speculation),
            ("skip_tokenizer_init", options.SkipTokenizerInit),
            ("chat_template", options.ChatTemplate is not null),
            ("tool_call_parser", options.ToolCallParser != usual.ToolCallParser),
            ("tool_prompt", options.ToolPrompt is not null),
            ("describe_structured_outputs", options.DescribeStructuredOutputs != usual.DescribeStructuredOutputs),
            ("reasoning_parser", options.ReasoningParser != usual.ReasoningParser),
            ("generation_config", options.GenerationConfig != usual.GenerationConfig),
            ("max_logprobs", options.MaxLogprobs != usual.MaxLogprobs),
            ("logprobs_mode", options.LogprobsMode != usual.LogprobsMode),
            ("seed", options.Seed is not null),
        ];
        var given = all.Where(option => option.IsGiven).Select(option => option.Name).ToArray();
        if (given.Length > 0)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"{string.Join(", ", given)}: these options apply to text generation, and this model is an encoder; leave them out.", given[0]);
    }
}
