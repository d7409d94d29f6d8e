using System.CommandLine;
using BenchmarkDotNet.Running;
using LocalLlm.Bench;

var shapeOption = new Option<string>("--shape") { DefaultValueFactory = _ => "qwen2-0.5b", Description = "One of " + string.Join(", ", ModelShape.All.Select(shape => shape.Name)) };
shapeOption.AcceptOnlyFromAmong([.. ModelShape.All.Select(shape => shape.Name)]);
var folderOption = new Option<string>("--folder") { DefaultValueFactory = _ => Path.Combine(Path.GetTempPath(), "localllm-bench"), Description = "Where random-weight models are kept" };
var roundsOption = new Option<int>("--rounds") { DefaultValueFactory = _ => 5, Description = "Interleaved rounds" };

var model = new Command("model", "Writes a model of a real shape with random bfloat16 weights.") { shapeOption, folderOption };
model.SetAction(result => Shape(result).WriteTo(Folder(result)));

var cpu = new Command("cpu", "Decode, prefill and batching on the CPU beside the machine's limits.") { shapeOption, folderOption, roundsOption };
cpu.SetAction((result, _) => EndToEnd.RunAsync(Shape(result), Folder(result), result.GetValue(roundsOption)));

var dtypeOption = new Option<string>("--dtype") { DefaultValueFactory = _ => "bfloat16", Description = "float32 or bfloat16" };
dtypeOption.AcceptOnlyFromAmong("float32", "bfloat16");
var threadsOption = new Option<int>("--threads") { DefaultValueFactory = _ => 2, Description = "CPU threads of all ranks together" };
var ranks = new Command("ranks", "Tensor parallelism on the CPU: sums over two threads, and two ranks beside one.") { shapeOption, folderOption, dtypeOption, threadsOption, roundsOption };
ranks.SetAction((result, _) => RankSpeed.RunAsync(
    Shape(result), Folder(result), result.GetValue(dtypeOption)!, result.GetValue(threadsOption), result.GetValue(roundsOption)));
var sequencesOption = new Option<int>("--sequences") { DefaultValueFactory = _ => 1, Description = "Sequences in a step" };
var tokensOption = new Option<int>("--tokens") { DefaultValueFactory = _ => 1, Description = "Tokens of each sequence in a step" };
var stepsOption = new Option<int>("--steps") { DefaultValueFactory = _ => 20, Description = "Steps" };
var profile = new Command("profile", "Where the time of a forward pass goes.") { shapeOption, folderOption, dtypeOption, sequencesOption, tokensOption, stepsOption };
profile.SetAction(result => StepProfile.Run(
    Shape(result), Folder(result), result.GetValue(dtypeOption)!, result.GetValue(sequencesOption), result.GetValue(tokensOption), result.GetValue(stepsOption)));

var kernels = new Command("kernels", "BenchmarkDotNet over the CPU kernels; further arguments go to it.") { TreatUnmatchedTokensAsErrors = false };
kernels.SetAction(result => BenchmarkSwitcher.FromAssembly(typeof(ServerOverhead).Assembly).Run([.. result.UnmatchedTokens]));

var inOption = new Option<int>("--in") { DefaultValueFactory = _ => 4096, Description = "Inputs of a matrix" };
var outOption = new Option<int>("--out") { DefaultValueFactory = _ => 4096, Description = "Outputs of a matrix" };
var fp8 = new Command("fp8", "Products by 8-bit floats on the CPU beside bfloat16 and the rate of reading memory.") { inOption, outOption, threadsOption, roundsOption };
fp8.SetAction(result => Fp8Speed.Run(result.GetValue(inOption), result.GetValue(outOption), result.GetValue(threadsOption), result.GetValue(roundsOption)));

var invariant = new Command("invariant", "Batch-invariant bfloat16 products on the CPU beside the library's.") { inOption, outOption, threadsOption, roundsOption };
invariant.SetAction(result => InvariantSpeed.Run(result.GetValue(inOption), result.GetValue(outOption), result.GetValue(threadsOption), result.GetValue(roundsOption)));

var modelOption = new Option<string>("--model") { Required = true, Description = "A model's folder" };
var deviceOption = new Option<string>("--device") { DefaultValueFactory = _ => "auto", Description = "auto, cpu, cuda or cuda:N" };
var countOption = new Option<int>("--count") { DefaultValueFactory = _ => 100, Description = "Questions of each kind" };
var cacheDeviceOption = new Option<string>("--device") { DefaultValueFactory = _ => "cpu", Description = "cpu, cuda or cuda:N" };
var answers = new Command("kv-cache-answers", "What 8-bit floats in the KV cache cost in answers of a trained tiny model.") { modelOption, cacheDeviceOption, dtypeOption, countOption };
answers.SetAction((result, _) => KvCacheAnswers.RunAsync(
    result.GetValue(modelOption)!, result.GetValue(cacheDeviceOption)!, result.GetValue(dtypeOption)!, result.GetValue(countOption)));
var contextOption = new Option<int>("--context") { DefaultValueFactory = _ => 8192, Description = "Tokens of a prompt" };
var cacheSpeed = new Command("kv-cache-speed", "The attention of a decode step at a long context with 8-bit floats in the KV cache beside those of the computation; on a GPU for several numbers of sequences.") { shapeOption, cacheDeviceOption, dtypeOption, contextOption, sequencesOption, roundsOption };
cacheSpeed.SetAction(result =>
{
    if (result.GetValue(cacheDeviceOption) is { } card && card.StartsWith("cuda", StringComparison.Ordinal))
        CardKvCacheSpeed.Run(card, Shape(result), result.GetValue(dtypeOption)!, result.GetValue(contextOption), result.GetValue(roundsOption));
    else
        KvCacheSpeed.Run(Shape(result), result.GetValue(dtypeOption)!, result.GetValue(contextOption), result.GetValue(sequencesOption), result.GetValue(roundsOption));
});
var minutesOption = new Option<double>("--minutes") { DefaultValueFactory = _ => 8, Description = "How long" };
var soak = new Command("soak", "Mixed load with aborts, preemptions and bad requests: memory must stay flat.") { modelOption, deviceOption, minutesOption };
soak.SetAction(async (result, _) => await Soak.RunAsync(
    result.GetValue(modelOption)!, result.GetValue(deviceOption)!, TimeSpan.FromMinutes(result.GetValue(minutesOption)), TimeSpan.FromMinutes(result.GetValue(minutesOption) / 48)) ? 0 : 1);

var tokenizerOption = new Option<string>("--tokenizer") { Required = true, Description = "A folder with tokenizer.json" };
var grammar = new Command("grammar", "What structured output costs a decode step.") { tokenizerOption };
grammar.SetAction(result => GrammarCost.Run(result.GetValue(tokenizerOption)!));

var streamsOption = new Option<int>("--streams") { DefaultValueFactory = _ => 32, Description = "Requests at once" };
var server = new Command("server", "What HTTP costs: tokens a second of the server beside those of the same engine in this process.") { modelOption, deviceOption, streamsOption, roundsOption };
server.SetAction(async (result, _) =>
    await ServerOverhead.RunAsync(result.GetValue(modelOption)!, result.GetValue(deviceOption)!, result.GetValue(streamsOption), result.GetValue(roundsOption)));

var clientsOption = new Option<int>("--clients") { DefaultValueFactory = _ => 256, Description = "Callers at once" };
var serverSoak = new Command("server-soak", "The server under callers that leave, do not read, send nonsense, and are too many.") { modelOption, deviceOption, clientsOption, minutesOption };
serverSoak.SetAction(async (result, _) => await ServerSoak.RunAsync(
    result.GetValue(modelOption)!, result.GetValue(deviceOption)!, result.GetValue(clientsOption), TimeSpan.FromMinutes(result.GetValue(minutesOption))) ? 0 : 1);

var encoderOption = new Option<string>("--encoder") { DefaultValueFactory = _ => Path.Combine(Path.GetTempPath(), "localllm-bench", "bge-m3"), Description = "Where the random weights of bge-m3's shape are kept" };
var encoderTokenizerOption = new Option<string>("--tokenizer") { DefaultValueFactory = _ => Path.Combine("models", "tiny-m3"), Description = "A folder with the tokenizer.json of an encoder" };
var textsOption = new Option<int>("--texts") { DefaultValueFactory = _ => 64, Description = "Texts at once" };
var batchOption = new Option<int?>("--batch-tokens") { Description = "Most tokens of a step; the engine's own default without it" };
var embed = new Command("embed", "The embedding engine at bge-m3's shape beside the rate of its matrix products.") { encoderOption, encoderTokenizerOption, deviceOption, dtypeOption, textsOption, batchOption, roundsOption };
embed.SetAction((result, _) => EmbeddingSpeed.RunAsync(
    result.GetValue(encoderOption)!, result.GetValue(encoderTokenizerOption)!, result.GetValue(deviceOption)!, result.GetValue(dtypeOption)!, result.GetValue(textsOption), result.GetValue(batchOption), result.GetValue(roundsOption)));
var beside = new Command("embed-beside", "How long decoding stands still while embeddings are computed on the same device.") { modelOption, encoderOption, encoderTokenizerOption, deviceOption, dtypeOption, batchOption, roundsOption };
beside.SetAction((result, _) => EmbeddingBeside.RunAsync(
    result.GetValue(modelOption)!, result.GetValue(encoderOption)!, result.GetValue(encoderTokenizerOption)!, result.GetValue(deviceOption)!, result.GetValue(dtypeOption)!, result.GetValue(batchOption), result.GetValue(roundsOption)));

var cardsOption = new Option<int>("--cards")
{
    DefaultValueFactory = _ => 1, Description = "1: two ranks on one card; otherwise a rank on each of so many",
};
var collectives = new Command("collectives", "Sums between ranks on GPUs, our own and NCCL's, beside the card's limits.") { cardsOption };
collectives.SetAction(result => CollectiveSpeed.Run(result.GetValue(cardsOption)));

var tensorParallelOption = new Option<int>("--tensor-parallel-size", "-tp") { DefaultValueFactory = _ => 1, Description = "Cards that layers are split over" };
var pipelineParallelOption = new Option<int>("--pipeline-parallel-size", "-pp") { DefaultValueFactory = _ => 1, Description = "Stages" };
var backendOption = new Option<string>("--backend") { DefaultValueFactory = _ => "engine", Description = "engine: ranks are threads of this process; threads, processes: those of localllm serve" };
backendOption.AcceptOnlyFromAmong("engine", "threads", "processes");
var batchesOption = new Option<int[]>("--batch") { DefaultValueFactory = _ => [1, 8, 32, 128], AllowMultipleArgumentsPerToken = true, Description = "Numbers of sequences" };
var cards = new Command("cards", "A model of a real shape with random weights over several cards: decode steps and prompts beside their floor.") { shapeOption, tensorParallelOption, pipelineParallelOption, backendOption, batchesOption, roundsOption };
cards.SetAction((result, _) => CardSpeed.RunAsync(new(
    Shape(result), result.GetValue(tensorParallelOption), result.GetValue(pipelineParallelOption), result.GetValue(backendOption)!, result.GetValue(batchesOption)!, result.GetValue(roundsOption))));

var tuneOption = new Option<string?>("--tune") { Description = "Try every cut of the products, and write the time of each to this file" };
var partsOption = new Option<string[]>("--part") { DefaultValueFactory = _ => DeepseekKernels.Parts, Description = "What to measure: products, experts, attention; all of them where it is left out" };
var deepseek = new Command("deepseek-kernels", "DeepSeek-V3's kernels on a GPU beside the card's limits.") { tuneOption, partsOption };
deepseek.SetAction(result => DeepseekKernels.Run(result.GetValue(tuneOption), result.GetValue(partsOption)!));

var scaleOption = new Option<string>("--scale") { DefaultValueFactory = _ => "v3", Description = "v3, or tiny: small widths that any CPU computes" };
scaleOption.AcceptOnlyFromAmong("v3", "tiny");
var denseOption = new Option<int>("--dense") { DefaultValueFactory = _ => 1, Description = "Dense layers" };
var mixturesOption = new Option<int>("--moe") { DefaultValueFactory = _ => 3, Description = "Layers with experts" };
var vocabOption = new Option<int>("--vocab") { DefaultValueFactory = _ => 16_160, Description = "Tokens of the output head; without it a rank's share of V3's, an eighth" };
var stackContextOption = new Option<int>("--context") { DefaultValueFactory = _ => 1000, Description = "Tokens in the cache of a sequence that decodes" };
var decodeStepsOption = new Option<int>("--steps") { DefaultValueFactory = _ => 64, Description = "Decode steps of a round" };
var promptOption = new Option<int>("--prompt") { DefaultValueFactory = _ => 4096, Description = "Tokens of the prefilled prompt" };
var profileOption = new Option<bool>("--profile") { Description = "Only warm up, then mark one prompt and a few decode steps for a profiler (ncu --profile-from-start off)" };
var expertParallelOption = new Option<bool>("--enable-expert-parallel") { Description = "Each rank has whole experts" };
var stack = new Command("deepseek-stack", "Layers of DeepSeek-V3 with random weights through the engine: decode and prefill beside the device's limits.") { scaleOption, deviceOption, denseOption, mixturesOption, vocabOption, stackContextOption, decodeStepsOption, promptOption, roundsOption, profileOption, tensorParallelOption, expertParallelOption };
stack.SetAction((result, _) => DeepseekStack.RunAsync(new(
    result.GetValue(scaleOption) == "v3" ? DeepseekShape.V3 : DeepseekShape.Tiny, result.GetValue(deviceOption)!, result.GetValue(denseOption),
    result.GetValue(mixturesOption), result.GetValue(vocabOption), result.GetValue(stackContextOption), result.GetValue(decodeStepsOption),
    result.GetValue(promptOption), result.GetValue(roundsOption), result.GetValue(profileOption),
    result.GetValue(tensorParallelOption), result.GetValue(expertParallelOption))));

var configOption = new Option<string>("--speculative-config") { DefaultValueFactory = _ => """{"method":"ngram","num_speculative_tokens":8,"prompt_lookup_max":4,"prompt_lookup_min":1}""", Description = "As localllm's" };
var promptsOption = new Option<string?>("--prompts") { Description = "A folder with texts (.txt, a prompt a line; .jsonl with turns, as MT-bench's)" };
var speculationStreamsOption = new Option<int>("--streams") { DefaultValueFactory = _ => 1, Description = "Requests at once" };
var speculation = new Command("speculation", "Speculative decoding beside plain decoding: where drafts are right, and where nothing is.") { modelOption, deviceOption, dtypeOption, configOption, promptsOption, threadsOption, speculationStreamsOption, roundsOption };
speculation.SetAction((result, _) => SpeculationSpeed.RunAsync(
    result.GetValue(modelOption)!, result.GetValue(deviceOption)!, result.GetValue(dtypeOption)!, result.GetValue(configOption)!, result.GetValue(promptsOption), result.GetValue(threadsOption), result.GetValue(speculationStreamsOption), result.GetValue(roundsOption)));

var typeOption = new Option<string>("--type") { DefaultValueFactory = _ => "bfloat16", Description = "float32, bfloat16 or fp8" };
typeOption.AcceptOnlyFromAmong("float32", "bfloat16", "fp8");
var hiddenOption = new Option<int>("--hidden") { DefaultValueFactory = _ => 2048, Description = "Inputs of an expert" };
var widthOption = new Option<int>("--width") { DefaultValueFactory = _ => 1408, Description = "Width of an expert" };
var expertsOption = new Option<int>("--experts") { DefaultValueFactory = _ => 64, Description = "Experts of the layer" };
var perTokenOption = new Option<int>("--per-token") { DefaultValueFactory = _ => 6, Description = "Experts of a token" };
var experts = new Command("experts", "A mixture of experts on the CPU: all experts of a step at once beside one after the other, and the rate of reading memory.") { hiddenOption, widthOption, expertsOption, perTokenOption, typeOption, threadsOption, roundsOption };
experts.SetAction(result => ExpertSpeed.Run(
    result.GetValue(hiddenOption), result.GetValue(widthOption), result.GetValue(expertsOption), result.GetValue(perTokenOption),
    result.GetValue(typeOption)!, result.GetValue(threadsOption), result.GetValue(roundsOption)));

var headsOption = new Option<int>("--heads") { DefaultValueFactory = _ => 16, Description = "Attention heads" };
var beforeOption = new Option<int>("--before") { DefaultValueFactory = _ => 0, Description = "Tokens before the new ones" };
var latent = new Command("latent", "Latent attention over a prompt's new tokens on the CPU: absorbed beside expanded.") { headsOption, beforeOption, threadsOption, roundsOption };
latent.SetAction(result => LatentSpeed.Run(result.GetValue(headsOption), result.GetValue(beforeOption), result.GetValue(threadsOption), result.GetValue(roundsOption)));

var promptsAtOnceOption = new Option<int>("--sequences") { DefaultValueFactory = _ => 256, Description = "Prompts at once" };
var promptTokensOption = new Option<int>("--tokens") { DefaultValueFactory = _ => 8192, Description = "Tokens of each" };
var lookupOption = new Option<int>("--lookup-max") { DefaultValueFactory = _ => 4, Description = "Max number of tokens that are looked up" };
var drafter = new Command("drafter", "What prompt look-up costs the engine loop when many long prompts come at once.") { promptsAtOnceOption, promptTokensOption, lookupOption };
drafter.SetAction(result => DrafterCost.Run(result.GetValue(promptsAtOnceOption), result.GetValue(promptTokensOption), result.GetValue(lookupOption)));

return await new RootCommand("Benchmarks of LocalLlm.") { model, cpu, ranks, profile, kernels, fp8, invariant, soak, grammar, server, serverSoak, embed, beside, collectives, cards, deepseek, stack, speculation, answers, cacheSpeed, experts, latent, drafter }.Parse(args).InvokeAsync();

ModelShape Shape(ParseResult result) => ModelShape.All.First(shape => shape.Name == result.GetValue(shapeOption));

string Folder(ParseResult result) => Path.Combine(result.GetValue(folderOption)!, result.GetValue(shapeOption)!);
