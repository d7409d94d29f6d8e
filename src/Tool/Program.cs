using LocalLlm.Tool;

return await CommandLineApp.RunAsync(args, Terminal.OfProcess());
