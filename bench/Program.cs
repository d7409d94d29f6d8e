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

var kernels = new Command("kernels", "BenchmarkDotNet over the CPU kernels; further arguments go to it.") { TreatUnmatchedTokensAsErrors = false };
kernels.SetAction(result => BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run([.. result.UnmatchedTokens]));

return await new RootCommand("Benchmarks of LocalLlm.") { model, cpu, kernels }.Parse(args).InvokeAsync();

ModelShape Shape(ParseResult result) => ModelShape.All.First(shape => shape.Name == result.GetValue(shapeOption));

string Folder(ParseResult result) => Path.Combine(result.GetValue(folderOption)!, result.GetValue(shapeOption)!);
