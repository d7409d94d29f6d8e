using LocalLlm.Server;

return await CommandLineApp.RunAsync(args, Terminal.OfProcess());
