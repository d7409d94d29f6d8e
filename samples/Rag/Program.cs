using LocalLlm.Samples.Rag;
using LocalLlm.Samples.Rag.Commands;

return await RagApplication.RunAsync(args, RagTerminal.OfProcess());
