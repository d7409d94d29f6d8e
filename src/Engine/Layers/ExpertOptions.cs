using LocalLlm.Ops;

namespace LocalLlm.Layers;

/// <summary>The sizes and the routing of a mixture of experts, over all ranks.</summary>
/// <param name="Width">Width of a routed expert.</param>
/// <param name="SharedWidth">Total width of the shared experts, which process every token; 0: there are none.</param>
/// <param name="Routing">How experts are chosen.</param>
internal sealed record ExpertOptions(int Width, int SharedWidth, ExpertRouting Routing);
