using System.Text.RegularExpressions;
using LocalLlm.Samples.Rag.Agreement;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>
/// Carries what the last question was about (its topic) into one that needs it, by rules: a pronoun is replaced by the topic; a bare noun becomes a question for that noun of the topic, or the topic of the last question; a
/// question that names everything stays as it is. English and Chinese.
/// </summary>
internal static partial class CarriedQuestion
{
    private const int MostWords = 4;

    /// <summary>What a question of a chat may mean, the likeliest first; one that stands alone means itself.</summary>
    /// <param name="last">The question before, standing alone.</param>
    /// <param name="question">As it was typed.</param>
    public static IReadOnlyList<string> Readings(string last, string question)
    {
        var isChinese = question.Any(TermReader.IsWide);
        var bare = (isChinese ? ChineseLead() : Lead()).Replace(question.Trim(), "");
        var hasLead = bare.Length < question.Trim().Length;
        var topics = Topics(last);
        if (topics.Count == 0 || bare.TrimEnd('?', '.', '!', '？', '。', '呢', ' ').Length == 0)
            return [question];
        var readings = isChinese ? Chinese(last, bare, topics) : English(last, bare, topics, hasLead);
        return readings.Count > 0 ? [.. readings.Distinct()] : [hasLead ? bare : question];
    }

    private static List<string> English(string last, string bare, IReadOnlyList<string> topics, bool hasLead)
    {
        var words = bare.TrimEnd('?', '.', '!', ' ');
        if (HasPointer(bare))
            return [.. topics.Select(topic => AsQuestion(WithTopic(words, topic)))];
        var terms = TermReader.Read(words);
        var content = terms.Count(term => term.HasSubstance);
        var hasName = terms.Skip(1).Any(term => term is { HasSubstance: true, IsCapital: true }) || (hasLead && terms.Count > 0 && terms[0] is { HasSubstance: true, IsCapital: true });
        if (content == 0 || content > MostWords || (hasName && !IsElliptical(terms)))
            return [];
        var noun = Article().Replace(words, "");
        if (IsElliptical(terms))
        {
            if (terms[0].Text == "how")
                return [.. topics.Select(topic => $"{words} is {topic}?")];
            var asked = topics.Select(topic => $"What is the {noun} of {topic}?");
            var other = topics.Where(topic => last.Contains(topic, StringComparison.Ordinal)).Select(topic => last.Replace(topic, words, StringComparison.Ordinal));
            return hasName ? [.. other, .. asked] : [.. asked, .. other];
        }

        // "And what is the color?" of the topic, but "What are the opening hours?" where the topic has none.
        var question = words + "?";
        return NounOnly().IsMatch(words) ? [.. topics.Select(topic => $"{words} of {topic}?"), question] : [];
    }

    private static List<string> Chinese(string last, string bare, IReadOnlyList<string> topics)
    {
        var words = ChineseEnd().Replace(bare, "");
        if (ChinesePointer().IsMatch(words))
            return [.. topics.Select(topic => AsChineseQuestion(ChinesePointer().Replace(words, topic, 1)))];
        if (words.Contains('的', StringComparison.Ordinal))
            return [];
        var isQuestion = TermReader.Read(words).Any(term => term.Kind == TermKind.Interrogative);
        var asked = topics.Select(topic => AsChineseQuestion($"{topic}的{words}"));
        var other = topics.Where(topic => last.Contains(topic, StringComparison.Ordinal)).Select(topic => last.Replace(topic, words, StringComparison.Ordinal));
        return isQuestion ? [.. asked, .. topics.Select(topic => AsChineseQuestion(topic + words)), words + "？"] : [.. asked, .. other];
    }

    /// <summary>What a question is about, the likeliest first: Y of "the X of Y" and of "Y's X", else the names in it, else what stands behind its verb.</summary>
    internal static IReadOnlyList<string> Topics(string question)
    {
        if (question.Any(TermReader.IsWide))
            return ChineseTopics(question);
        var words = question.Trim().TrimEnd('?', '.', '!', ' ');
        if (OfTopic().Match(words) is { Success: true } of)
            return [of.Groups["topic"].Value];
        if (OwnTopic().Match(words) is { Success: true } own)
            return [own.Groups["topic"].Value];
        var rest = BehindVerb().Match(words) is { Success: true } verb ? words[(verb.Index + verb.Length)..] : Lead().Replace(words, "");
        var parts = rest.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        // How much of it is the name, and where the verb begins ("the scanner bought"), is seen by the documents.
        var topics = Enumerable.Range(1, parts.Length).Reverse().Select(count => string.Join(' ', parts[..count])).Where(topic => TermReader.Read(topic) is [.., { HasSubstance: true }]);
        var name = NameOf(rest);
        return [.. (name is null ? topics : topics.Prepend(name)).Distinct().Take(3)];
    }

    private static IReadOnlyList<string> ChineseTopics(string question)
    {
        var words = ChineseLead().Replace(ChineseEnd().Replace(question.Trim(), ""), "");
        if (words.IndexOf('的', StringComparison.Ordinal) is > 0 and var at)
            return [words[..at]];
        var run = string.Concat(words.TakeWhile((_, index) => FunctionWords.WideAt(words, index) is null));
        return [.. Enumerable.Range(2, Math.Max(0, run.Length - 1)).Reverse().Take(3).Select(length => run[..length])];
    }

    /// <summary>Words with capital letters in a row, with the article before them and a small word behind: "the Falcon scanner", "Tom Lee".</summary>
    private static string? NameOf(string words) => Name().Match(words) is { Success: true } name ? name.Value.Trim() : null;

    private static bool HasPointer(string question)
    {
        var terms = TermReader.Read(question);
        var at = terms.ToList().FindIndex(term => term.Kind == TermKind.Pronoun);
        return at >= 0 && !terms.Take(at).Any(term => term is { HasSubstance: true, IsCapital: true });
    }

    private static string WithTopic(string words, string topic)
    {
        // "its color" at the end is "the color of …"; anywhere else "…'s color".
        if (OwnedToEnd().Match(words) is { Success: true } owned)
            return $"{words[..owned.Index]}the {owned.Groups["noun"].Value} of {topic}";
        return Pointed().Replace(Owned().Replace(words, _ => topic + "'s ", 1), _ => topic, 1);
    }

    // Without a verb or a question word it only names what is asked for.
    private static string AsQuestion(string words) => TermReader.Read(words).Any(term => term.Kind is TermKind.Interrogative or TermKind.Be or TermKind.Auxiliary) ? $"{words}?" : $"What is {words}?";

    private static string AsChineseQuestion(string words) => TermReader.Read(words).Any(term => term.Kind == TermKind.Interrogative) || words.EndsWith('吗') ? $"{words}？" : $"{words}是什么？";

    private static bool IsElliptical(IReadOnlyList<Term> terms) => !terms.Any(term => term.Kind is TermKind.Be or TermKind.Auxiliary) && (terms.Count == 0 || terms[0].Text is not ("who" or "what" or "when" or "where" or "why" or "tell"));

    [GeneratedRegex(@"^((and|but|ok|okay|so|then|also|now|or)\b[\s,]*)*((what|how)\s+about\b\s*)?((and|but)\b\s*)?", RegexOptions.IgnoreCase)]
    private static partial Regex Lead();

    [GeneratedRegex(@"^((那么|那|还有|另外|以及|请问|而且)[，,]?\s*)+")]
    private static partial Regex ChineseLead();

    [GeneratedRegex(@"[呢？?。！!\s]+$")]
    private static partial Regex ChineseEnd();

    [GeneratedRegex(@"(它们|他们|她们|它|他|她|其)(?!他)")]
    private static partial Regex ChinesePointer();

    [GeneratedRegex(@"^(the|a|an|in|at|on|for|which|what)\s+", RegexOptions.IgnoreCase)]
    private static partial Regex Article();

    [GeneratedRegex(@"\b(?:its|his|her|their)\s+(?<noun>(?!is\b|are\b)[\w-]+(?:\s+(?!is\b|are\b|in\b|on\b|at\b|for\b|to\b|and\b)[\w-]+){0,2})$", RegexOptions.IgnoreCase)]
    private static partial Regex OwnedToEnd();

    [GeneratedRegex(@"\b(its|his|their|her(?=\s+[a-z]))\s+", RegexOptions.IgnoreCase)]
    private static partial Regex Owned();

    [GeneratedRegex(@"\b(it|he|she|him|her|they|them)\b", RegexOptions.IgnoreCase)]
    private static partial Regex Pointed();

    [GeneratedRegex(@"^(what|how much|how many|which)\s+(is|are|was|were)\s+(the\s+)?[\w-]+(\s+[\w-]+)?$", RegexOptions.IgnoreCase)]
    private static partial Regex NounOnly();

    [GeneratedRegex(@"\bof\s+(?<topic>(?:(?!\bof\b)[^,;])+?)(?=\s+(?:is|are|was|were|in|on|at|has|have)\b|[,;]|$)", RegexOptions.IgnoreCase | RegexOptions.RightToLeft)]
    private static partial Regex OfTopic();

    [GeneratedRegex(@"(?:^|\b(?:is|are|was|were|me|need|know)\s+)(?<topic>(?:[\w-]+\s+){0,3}[\w-]+)['’]s\b", RegexOptions.IgnoreCase)]
    private static partial Regex OwnTopic();

    [GeneratedRegex(@"\b(is|are|was|were|does|do|did|has|have|can|could|must|should|will|would|may)\s+", RegexOptions.IgnoreCase)]
    private static partial Regex BehindVerb();

    [GeneratedRegex(@"\b([Tt]he\s+)?[A-Z][\w-]*(\s+[A-Z0-9][\w-]*)*(?(1)\s+[a-z][\w-]*)?")]
    private static partial Regex Name();
}
