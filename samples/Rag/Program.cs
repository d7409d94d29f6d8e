using LocalLlm;
using LocalLlm.Extensions.AI;
using LocalLlm.Samples.Rag;
using Microsoft.Extensions.AI;

if (args.Length is 0 or > 3)
{
    Console.Error.WriteLine("usage: rag QUESTION [MODEL-FOLDER] [DOCUMENT-FOLDER]");
    return 2;
}

var question = args[0];
var modelFolder = args.Length > 1 ? args[1] : Path.Combine("models", "tiny-r1");
var documentFolder = args.Length > 2 ? args[2] : Path.Combine("samples", "Rag", "documents");
const int passagesShown = 4;

var index = new KeywordIndex(Directory.EnumerateFiles(documentFolder, "*.md").Select(File.ReadAllText));
var passages = index.Search(question, passagesShown).Select((passage, i) => $"[{i + 1}] {passage}");
var prompt = $"Use the context to answer.\nContext:\n{string.Join('\n', passages)}\n\nQuestion: {question}";

await using var engine = await LlmEngine.LoadAsync(new EngineOptions { ModelPath = modelFolder, Dtype = "float32" });
using var client = engine.AsIChatClient();
Console.WriteLine(prompt);
Console.WriteLine();
await foreach (var update in client.GetStreamingResponseAsync(prompt, new ChatOptions { Temperature = 0 }))
    Console.Write(update.Text);
Console.WriteLine();
return 0;
