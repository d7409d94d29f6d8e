using LocalLlm.Ops;

namespace LocalLlm.Layers;

/// <summary>The sizes and the routing of a mixture of experts, over all ranks.</summary>
/// <param name="Width">Of a routed expert.</param>
/// <param name="SharedWidth">Width of the experts that process every token, together; 0: none.</param>
/// <param name="Routing">How experts are chosen.</param>
internal sealed record ExpertOptions(int Width, int SharedWidth, ExpertRouting Routing);
