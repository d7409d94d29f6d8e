using System.CommandLine;
using System.Globalization;
using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Evaluation;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary><c>rag eval-answers</c>: counts how many questions are answered, cited and refused correctly.</summary>
internal static class EvalAnswersCommand
{
    private const int AtOnce = 16;

    public static Command Create(CommonOptions common, RagTerminal terminal)
    {
        var questions = new Option<string>("--questions") { Description = "JSON lines with question, answer (null: not in the documents) and document; without it those of the shipped documents.", HelpName = "FILE" };
        var command = new Command("eval-answers", "Asks many questions and counts right answers, right citations, and questions without an answer that are reported as such.") { questions };
        command.SetAction(async (result, cancellationToken) =>
        {
            var known = await AnswerCheck.ReadAsync(result.GetValue(questions) ?? RagConfiguration.InRepository("samples/Rag/questions.jsonl"), cancellationToken);
            using var host = await RagHost.StartAnsweringAsync(common.Configuration(result), terminal, cancellationToken);
            var answers = await AnswerCheck.RunAsync(host.Services.GetRequiredService<DocumentAgent>(), known, AtOnce, cancellationToken);
            foreach (var wrong in answers.Where(answer => !answer.IsRight))
                await terminal.Output.WriteLineAsync($"{PlainLine.Of(wrong.Known.Question)} Wanted: {PlainLine.Of(wrong.Known.Answer ?? "no answer")}. Got: {PlainLine.Of(string.Join(' ', wrong.Answer.Notes.Prepend(wrong.Answer.Text)))}");
            var there = answers.Where(answer => answer.Known.Answer is not null).ToArray();
            var absent = answers.Where(answer => answer.Known.Answer is null).ToArray();
            await terminal.Output.WriteLineAsync($"answered in the documents: {there.Length} questions, {Share(there, answer => answer.IsRight)} right, {Share(there, answer => answer.IsRightlyCited)} with the right passage cited");
            await terminal.Output.WriteLineAsync($"not in the documents: {absent.Length} questions, {Share(absent, answer => answer.IsRight)} told as such");
            return 0;
        });
        return command;
    }

    private static string Share(CheckedAnswer[] answers, Func<CheckedAnswer, bool> isSo) =>
        answers.Length == 0 ? "none" : string.Create(CultureInfo.InvariantCulture, $"{answers.Count(isSo)} ({100.0 * answers.Count(isSo) / answers.Length:0.0} %)");
}
