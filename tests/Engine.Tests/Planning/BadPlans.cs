using Xunit;

namespace LocalLlm.Tests.Planning;

/// <summary>Plans that are not possible, or do not fit.</summary>
public static class BadPlans
{
    private const string H = PublishedConfigs.Qwen32B;
    private const string L = PublishedConfigs.Llama70B;
    private const string S = PublishedConfigs.Qwen7B;
    private const string V = PublishedConfigs.V3;

    /// <summary>Model, tensor x pipeline x data x nodes, whether experts are whole; the option to blame and the whole message.</summary>
    public static TheoryData<string, string, bool, string, string> OfGroups() => new()
    {
        { V, "1 1 0 1", true, "data_parallel_size", "data_parallel_size is 0; allowed: 1 to 1024." },
        { V, "1 1 2000 1", true, "data_parallel_size", "data_parallel_size is 2000; allowed: 1 to 1024." },
        {
            S, "1 1 2 1", false, "data_parallel_size",
            "data_parallel_size is 2, but the model has no experts that the groups could share; start a replica for each behind a load balancer, and leave it out."
        },
        {
            V, "1 1 3 1", false, "data_parallel_size",
            "data_parallel_size is 3, but moe_intermediate_size (2048) is not divisible by the 3 ranks that experts are split over; give each rank whole experts (enable_expert_parallel), or choose a size that divides it."
        },
        {
            V, "2 1 3 1", false, "data_parallel_size",
            "data_parallel_size is 3, but moe_intermediate_size (2048) is not divisible by the 6 ranks that experts are split over; give each rank whole experts (enable_expert_parallel), or choose a size that divides it."
        },
        {
            V, "8 1 2 2", true, "data_parallel_size",
            "data_parallel_size is 2, but nnodes is 2: the groups of this build run on one node; set nnodes to 1, or data_parallel_size to 1."
        },
        {
            V, "16 1 32 1", true, "enable_expert_parallel",
            "enable_expert_parallel is set, but the model's 256 experts are fewer than the 512 ranks of a stage; leave it out."
        },
    };

    /// <summary>Model, tensor x pipeline x nodes, devices of a node (0: not known), layers of stages, card; the option to blame, the whole
    /// message, and the first plan offered instead (null: whatever fits).</summary>
    public static TheoryData<string, string, int, string?, string, string, string, string?> All() => new()
    {
        {
            S, "0 1 1", 0, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 0; allowed: 1 to 1024.",
            "1 1 1"
        },
        {
            S, "-3 1 1", 0, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is -3; allowed: 1 to 1024.",
            "1 1 1"
        },
        {
            S, "4096 1 1", 0, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 4096; allowed: 1 to 1024.",
            null
        },
        {
            S, "1 0 1", 0, null, "H100", "pipeline_parallel_size",
            "pipeline_parallel_size is 0; allowed: 1 to 1024.",
            "1 1 1"
        },
        {
            S, "1 -1 1", 0, null, "H100", "pipeline_parallel_size",
            "pipeline_parallel_size is -1; allowed: 1 to 1024.",
            "1 1 1"
        },
        {
            S, "1 2000 1", 0, null, "H100", "pipeline_parallel_size",
            "pipeline_parallel_size is 2000; allowed: 1 to 1024.",
            null
        },
        {
            S, "1 1 0", 0, null, "H100", "nnodes",
            "nnodes is 0; allowed: 1 to 1024.",
            "1 1 1"
        },
        {
            S, "1 1 -2", 0, null, "H100", "nnodes",
            "nnodes is -2; allowed: 1 to 1024.",
            "1 1 1"
        },
        {
            S, "3 1 1", 0, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 3, but the model's 28 attention heads are not divisible by 3, and the model's 4 key and value heads are not divisible by 3, and intermediate_size (18944) is not divisible by 3; allowed for this model: 1, 2, 4.",
            "1 3 1"
        },
        {
            S, "8 1 1", 8, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 8, but the model's 28 attention heads are not divisible by 8; allowed for this model: 1, 2, 4.",
            "4 2 1"
        },
        {
            S, "7 1 1", 0, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 7, but 7 ranks cannot share the model's 4 key and value heads evenly, and intermediate_size (18944) is not divisible by 7; allowed for this model: 1, 2, 4.",
            "1 7 1"
        },
        {
            S, "14 1 1", 0, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 14, but 14 ranks cannot share the model's 4 key and value heads evenly, and intermediate_size (18944) is not divisible by 14; allowed for this model: 1, 2, 4.",
            "2 7 1"
        },
        {
            H, "5 1 1", 5, null, "T4", "tensor_parallel_size",
            "tensor_parallel_size is 5, but the model's 8 key and value heads are not divisible by 5, and intermediate_size (27648) is not divisible by 5; allowed for this model: 1, 2, 4, 8.",
            "1 5 1"
        },
        {
            H, "3 1 1", 0, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 3, but the model's 40 attention heads are not divisible by 3, and the model's 8 key and value heads are not divisible by 3; allowed for this model: 1, 2, 4, 8.",
            "1 3 1"
        },
        {
            H, "16 1 1", 16, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 16, but the model's 40 attention heads are not divisible by 16; allowed for this model: 1, 2, 4, 8.",
            "8 2 1"
        },
        {
            H, "40 1 1", 40, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 40, but intermediate_size (27648) is not divisible by 40; allowed for this model: 1, 2, 4, 8.",
            "8 5 1"
        },
        {
            H, "10 1 1", 0, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 10, but 10 ranks cannot share the model's 8 key and value heads evenly, and intermediate_size (27648) is not divisible by 10; allowed for this model: 1, 2, 4, 8.",
            "2 5 1"
        },
        {
            L, "6 1 1", 6, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 6, but the model's 64 attention heads are not divisible by 6, and the model's 8 key and value heads are not divisible by 6, and intermediate_size (28672) is not divisible by 6; allowed for this model: 1, 2, 4, 8, 16, 32, 64.",
            "2 3 1"
        },
        {
            L, "12 1 1", 0, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 12, but the model's 64 attention heads are not divisible by 12, and 12 ranks cannot share the model's 8 key and value heads evenly, and intermediate_size (28672) is not divisible by 12; allowed for this model: 1, 2, 4, 8, 16, 32, 64.",
            "4 3 1"
        },
        {
            L, "16 1 2", 8, null, "A100-80G", "tensor_parallel_size",
            "tensor_parallel_size is 16, but each of the 2 nodes runs 8 of the 16 ranks (tensor_parallel_size 16 x pipeline_parallel_size 1), so that every layer would be split over several nodes; split layers inside a node (at most 8), and stages (pipeline_parallel_size) across nodes.",
            "8 2 2"
        },
        {
            L, "16 1 1", 8, null, "A100-80G", "tensor_parallel_size",
            "tensor_parallel_size 16 x pipeline_parallel_size 1 needs 16 devices, but this node has 8, and nnodes is 1.",
            "8 1 1"
        },
        {
            L, "8 1 4", 8, null, "A100-80G", "tensor_parallel_size",
            "tensor_parallel_size is 8, but each of the 4 nodes runs 2 of the 8 ranks (tensor_parallel_size 8 x pipeline_parallel_size 1), so that every layer would be split over several nodes; split layers inside a node (at most 2), and stages (pipeline_parallel_size) across nodes.",
            null
        },
        {
            L, "8 2 4", 8, null, "A100-80G", "tensor_parallel_size",
            "tensor_parallel_size is 8, but each of the 4 nodes runs 4 of the 16 ranks (tensor_parallel_size 8 x pipeline_parallel_size 2), so that every layer would be split over several nodes; split layers inside a node (at most 4), and stages (pipeline_parallel_size) across nodes.",
            null
        },
        {
            L, "8 2 1", 8, null, "A100-80G", "pipeline_parallel_size",
            "tensor_parallel_size 8 x pipeline_parallel_size 2 needs 16 devices, but this node has 8, and nnodes is 1.",
            null
        },
        {
            L, "4 1 3", 8, null, "A100-80G", "nnodes",
            "nnodes is 3, but the plan has 4 ranks (tensor_parallel_size 4 x pipeline_parallel_size 1), which are not divisible by 3; every node runs as many ranks as the others.",
            null
        },
        {
            L, "2 3 4", 8, null, "A100-80G", "nnodes",
            "nnodes is 4, but the plan has 6 ranks (tensor_parallel_size 2 x pipeline_parallel_size 3), which are not divisible by 4; every node runs as many ranks as the others.",
            null
        },
        {
            L, "8 4 2", 8, null, "A100-80G", "pipeline_parallel_size",
            "tensor_parallel_size 8 x pipeline_parallel_size 4 needs 16 devices on each node, but a node has 8, and nnodes is 2.",
            "8 2 2"
        },
        {
            L, "1 1 2", 8, null, "A100-80G", "nnodes",
            "nnodes is 2, but the plan has 1 rank (tensor_parallel_size 1 x pipeline_parallel_size 1), which is not divisible by 2; every node runs as many ranks as the others.",
            null
        },
        {
            L, "1 81 1", 0, null, "H100", "pipeline_parallel_size",
            "pipeline_parallel_size is 81, but the model has 80 layers, and every stage needs one; allowed: 1 to 80.",
            null
        },
        {
            S, "1 29 1", 0, null, "H100", "pipeline_parallel_size",
            "pipeline_parallel_size is 29, but the model has 28 layers, and every stage needs one; allowed: 1 to 28.",
            null
        },
        {
            S, "2 64 1", 0, null, "H100", "pipeline_parallel_size",
            "pipeline_parallel_size is 64, but the model has 28 layers, and every stage needs one; allowed: 1 to 28.",
            null
        },
        {
            S, "1 2 1", 0, "14,13", "H100", "pipeline_layers",
            "pipeline_layers (14,13) add up to 27, but the model has 28 layers.",
            null
        },
        {
            S, "1 2 1", 0, "14,14,0", "H100", "pipeline_layers",
            "pipeline_layers names 3 stages, but pipeline_parallel_size is 2; give one count of layers for each stage; pipeline_layers gives a stage 0 layers; allowed: 1 or more.",
            null
        },
        {
            S, "1 3 1", 0, "28,0,0", "H100", "pipeline_layers",
            "pipeline_layers gives a stage 0 layers; allowed: 1 or more.",
            null
        },
        {
            S, "1 3 1", 0, "-1,20,9", "H100", "pipeline_layers",
            "pipeline_layers gives a stage -1 layers; allowed: 1 or more.",
            null
        },
        {
            S, "1 1 1", 0, "14,14", "H100", "pipeline_layers",
            "pipeline_layers names 2 stages, but pipeline_parallel_size is 1; give one count of layers for each stage.",
            null
        },
        {
            S, "1 2 1", 0, "2147483647,2147483647", "H100", "pipeline_layers",
            "pipeline_layers (2147483647,2147483647) add up to 4294967294, but the model has 28 layers.",
            null
        },
        {
            V, "3 1 1", 0, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 3, but the model's 128 attention heads are not divisible by 3, and moe_intermediate_size (2048) is not divisible by 3, and the shared experts' width (2048) is not divisible by 3; allowed for this model: 1, 2, 4, 8, 16, 32, 64, 128.",
            null
        },
        {
            V, "16 1 2", 8, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 16, but each of the 2 nodes runs 8 of the 16 ranks (tensor_parallel_size 16 x pipeline_parallel_size 1), so that every layer would be split over several nodes; split layers inside a node (at most 8), and stages (pipeline_parallel_size) across nodes.",
            "8 2 2"
        },
        {
            V, "8 62 62", 8, null, "H100", "pipeline_parallel_size",
            "pipeline_parallel_size is 62, but the model has 61 layers, and every stage needs one; allowed: 1 to 61.",
            null
        },
        // The plan is possible, but has too few cards for the bytes.
        {
            H, "4 1 1", 0, null, "T4", "tensor_parallel_size",
            "tensor_parallel_size is 4, but 4 x T4 have too little memory for this model: a rank has 15.26 GiB of weights and 0.30 GiB of activations, and 14.70 GiB of 14.85 GiB may be used; 0.86 GiB are missing even without a KV cache (all weights are 61.03 GiB, all devices have 59.40 GiB).",
            "1 5 1"
        },
        {
            H, "1 4 1", 0, null, "T4", "pipeline_parallel_size",
            "pipeline_parallel_size is 4, but 4 x T4 have too little memory for this model: a rank of stage 1 (17 layers) has 15.44 GiB of weights and 0.36 GiB of activations, and 14.70 GiB of 14.85 GiB may be used; 1.10 GiB are missing even without a KV cache (all weights are 61.03 GiB, all devices have 59.40 GiB).",
            "1 5 1"
        },
        {
            H, "1 1 1", 0, null, "L40S", "tensor_parallel_size",
            "tensor_parallel_size is 1, but 1 x L40S has too little memory for this model: a rank has 61.03 GiB of weights and 0.37 GiB of activations, and 44.10 GiB of 44.55 GiB may be used; 17.29 GiB are missing even without a KV cache (all weights are 61.03 GiB, all devices have 44.55 GiB).",
            "2 1 1"
        },
        {
            L, "1 1 1", 0, null, "A100-80G", "tensor_parallel_size",
            "tensor_parallel_size is 1, but 1 x A100-80G has too little memory for this model: a rank has 131.42 GiB of weights and 0.39 GiB of activations, and 78.41 GiB of 79.20 GiB may be used; 53.40 GiB are missing even without a KV cache (all weights are 131.42 GiB, all devices have 79.20 GiB).",
            "2 1 1"
        },
        {
            L, "2 1 1", 0, null, "A100-40G", "tensor_parallel_size",
            "tensor_parallel_size is 2, but 2 x A100-40G have too little memory for this model: a rank has 65.71 GiB of weights and 0.34 GiB of activations, and 39.20 GiB of 39.60 GiB may be used; 26.84 GiB are missing even without a KV cache (all weights are 131.42 GiB, all devices have 79.20 GiB).",
            "4 1 1"
        },
        {
            L, "8 1 1", 0, null, "T4", "tensor_parallel_size",
            "tensor_parallel_size is 8, but 8 x T4 have too little memory for this model: a rank has 16.43 GiB of weights and 0.30 GiB of activations, and 14.70 GiB of 14.85 GiB may be used; 2.03 GiB are missing even without a KV cache (all weights are 131.42 GiB, all devices have 118.80 GiB).",
            "8 2 2"
        },
        {
            V, "8 1 1", 8, null, "H100", "tensor_parallel_size",
            "tensor_parallel_size is 8, but 8 x H100-80G have too little memory for this model: a rank has 79.61 GiB of weights and 0.62 GiB of activations, and 78.41 GiB of 79.20 GiB may be used; 1.82 GiB are missing even without a KV cache (all weights are 628.07 GiB, all devices have 633.60 GiB).",
            "8 2 2"
        },
        {
            V, "8 2 2", 8, null, "A100-40G", "tensor_parallel_size",
            "tensor_parallel_size is 8, but 16 x A100-40G have too little memory for this model: a rank of stage 0 (32 layers) has 39.93 GiB of weights and 0.52 GiB of activations, and 39.20 GiB of 39.60 GiB may be used; 1.24 GiB are missing even without a KV cache (all weights are 628.07 GiB, all devices have 633.60 GiB).",
            "8 3 3"
        },
    };
}
