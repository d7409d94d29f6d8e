using System.Text.RegularExpressions;
using LocalLlm.Samples.Rag.Agreement;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>
/// Carries the topic of the last question into a question that depends on it, by rules for English and Chinese. The topic replaces a
/// pronoun. A bare noun becomes a question for that noun of the topic, or takes the place of the topic in the last question. A question
/// that names everything stays as it is.
/// </summary>
internal static partial class CarriedQuestion
{
    private const int MaxWords = 4;

    /// <summary>What a question of a chat may mean, likeliest first; a question that stands alone means itself.</summary>
    /// <param name="last">The previous question, standing alone.</param>
    /// <param name="question">As it was typed.</param>
    public static IReadOnlyList<string> Readings(string last, string question)
    {
        var isChinese = question.Any(TermReader.IsWide);
        var typed = !isChinese && !question.Any(char.IsLower) ? question.Trim().ToLowerInvariant() : question.Trim();
        var bare = (isChinese ? ChineseLead() : Lead()).Replace(typed, "");
        var hasLead = bare.Length < typed.Length;
        var topics = Topics(last);
        if (topics.Count == 0 || IsCourtesy(bare))
            return [question];
        var readings = isChinese ? Chinese(last, bare, topics) : English(last, bare, topics, hasLead);
        return readings.Count > 0 ? [.. readings.Distinct()] : [hasLead ? bare : question];
    }

    /// <summary>Whether a question points at something without naming it, so that it cannot be understood alone.</summary>
    public static bool Points(string question) => question.Any(TermReader.IsWide) ? ChinesePointerIn(question) is not null : HasPointer(question);

    /// <summary>Whether the text asks nothing: a courtesy ("Thanks") or a lead alone ("And?").</summary>
    private static bool IsCourtesy(string bare) => bare.TrimEnd('?', '.', '!', '？', '。', '！', '呢', ' ').Length == 0 || Courtesy().IsMatch(bare);

    private static List<string> English(string last, string bare, IReadOnlyList<string> topics, bool hasLead)
    {
        var words = bare.TrimEnd('?', '.', '!', ' ');
        if (HasPointer(bare))
            return [.. topics.Select(topic => AsQuestion(WithTopic(words, topic)))];
        var terms = TermReader.Read(words);
        var content = terms.Count(term => term.HasSubstance);
        var hasName = terms.Skip(1).Any(term => term is { HasSubstance: true, IsCapital: true }) || (hasLead && terms.Count > 0 && terms[0] is { HasSubstance: true, IsCapital: true });
        if (content == 0 || content > MaxWords || (hasName && !IsElliptical(terms)))
            return [];
        // "And the Falcon scanner's price?" names its own topic.
        if (terms.Take(terms.Count - 1).Any(term => term is { Kind: TermKind.Possessive, Text: "'s" }))
            return [AsQuestion(words)];
        words = Owner().Replace(words, "");
        var noun = Article().Replace(words, "");
        if (IsElliptical(terms))
        {
            if (terms[0].Text == "how")
                return [.. topics.Select(topic => $"{words} is {topic}?")];
            var asked = topics.Select(topic => $"What is the {noun} of {topic}?");
            var other = topics.Where(topic => last.Contains(topic, StringComparison.Ordinal)).Select(topic => last.Replace(topic, words, StringComparison.Ordinal));
            return hasName ? [.. other, .. asked] : [.. asked, .. other];
        }

        // "And what is the color?" asks about the topic; "What are the opening hours?" stands alone if the topic has none.
        var question = words + "?";
        return NounOnly().IsMatch(words) ? [.. topics.Select(topic => $"{words} of {topic}?"), question] : [];
    }

    private static List<string> Chinese(string last, string bare, IReadOnlyList<string> topics)
    {
        var words = ChineseEnd().Replace(bare, "");
        if (ChinesePointerIn(words) is { } pointer)
            return [.. topics.Select(topic => AsChineseQuestion($"{words[..pointer.Start]}{topic}{words[pointer.End..]}"))];
        if (words.Contains('的', StringComparison.Ordinal))
            return [];
        var isQuestion = TermReader.Read(words).Any(term => term.Kind == TermKind.Interrogative);
        var asked = topics.Select(topic => AsChineseQuestion($"{topic}的{words}"));
        var other = topics.Where(topic => last.Contains(topic, StringComparison.Ordinal)).Select(topic => last.Replace(topic, words, StringComparison.Ordinal));
        return isQuestion ? [.. asked, .. topics.Select(topic => AsChineseQuestion(topic + words)), words + "？"] : [.. asked, .. other];
    }

    /// <summary>What a question is about, likeliest first: Y of "the X of Y" and of "Y's X", else the name in it, else what follows its
    /// verb; empty if it names nothing.</summary>
    internal static IReadOnlyList<string> Topics(string question)
    {
        if (question.Any(TermReader.IsWide))
            return ChineseTopics(question);
        var words = question.Trim().TrimEnd('?', '.', '!', ' ');
        if (IsCourtesy(Lead().Replace(words, "")))
            return [];
        if (OfTopic().Match(words) is { Success: true } of)
            return Named([of.Groups["topic"].Value]);
        if (OwnTopic().Match(words) is { Success: true } own)
            return Named([own.Groups["topic"].Value]);
        var verb = BehindVerb().Match(words);
        var rest = verb.Success ? words[(verb.Index + verb.Length)..] : Lead().Replace(words, "");
        if (NamesOf(rest, hasParticiple: verb.Success && !DegreeBefore().IsMatch(words[..verb.Index]), hasSubject: verb.Success) is { Count: > 0 } names)
            return names;
        // The documents decide how much of it is the name, and where the verb begins ("the scanner bought"). Words without a verb
        // ("Thanks") name nothing.
        var parts = verb.Success || TermReader.Read(words).Any(term => term.Kind == TermKind.Interrogative) ? rest.Split(' ', StringSplitOptions.RemoveEmptyEntries) : [];
        var isVerbLast = parts.Length > 1 && (verb.Value.Trim().ToLowerInvariant() is "do" or "does" or "did" || parts[^1].EndsWith("ed", StringComparison.Ordinal) || parts[^1] is "built" or "made" or "bought" or "sold" or "born" or "held");
        return Named([.. Enumerable.Range(1, parts.Length).Reverse().OrderBy(count => isVerbLast && count == parts.Length).Select(count => string.Join(' ', parts[..count])).Where(topic => TermReader.Read(topic) is [.., { HasSubstance: true }]).Take(3)]);
    }

    private static IReadOnlyList<string> Named(IReadOnlyList<string> topics) => [.. topics.Where(topic => TermReader.Read(topic).Any(term => term.HasSubstance) && !HasPointer(topic))];

    private static IReadOnlyList<string> ChineseTopics(string question)
    {
        var words = ChineseLead().Replace(ChineseEnd().Replace(question.Trim(), ""), "");
        if (words.Contains("谢谢", StringComparison.Ordinal) || ChinesePointerIn(words) is not null)
            return [];
        if (words.IndexOf('的', StringComparison.Ordinal) is > 0 and var at)
            return [words[..at]];
        var terms = TermReader.Read(words);
        if (!terms.Any(term => term.Kind is TermKind.Interrogative or TermKind.Number) && !words.EndsWith('吗') && !words.Contains('多', StringComparison.Ordinal))
            return [];
        var run = string.Concat(terms.TakeWhile((term, index) => term is { Kind: TermKind.Content, IsWide: true } && (index == 0 || term.Text != "多")).Select(term => term.Text));
        var behind = run.Length < terms.Count ? terms[run.Length] : default;
        // A verb ends the run before a preposition (住在) or the question word (喜欢什么); before 的, 是 and 多 the whole run is the name. A
        // person's name has two or three characters.
        int[] lengths = behind.Kind is not (TermKind.Preposition or TermKind.Interrogative) || run.Length < 3 ? [run.Length]
            : ChineseNames.BeginsWithSurname(run) ? run.Length == 3 ? [2, 3] : behind.Kind == TermKind.Preposition ? [run.Length - 1, 2, 3] : [run.Length - 2, 2, 3]
            : behind.Kind == TermKind.Preposition ? [run.Length - 1, run.Length - 2, run.Length] : [run.Length - 2, run.Length - 1, run.Length];
        return [.. lengths.Where(length => length >= 2 && length <= run.Length).Distinct().Select(length => run[..length])];
    }

    /// <summary>Capitalized words in a row, with the article before them and a small word and a figure after them: "the Falcon scanner",
    /// "the Harbor crane 2", "Tom Lee".</summary>
    private static IReadOnlyList<string> NamesOf(string words, bool hasParticiple, bool hasSubject)
    {
        foreach (var match in Name().Matches(words).AsEnumerable())
        {
            var alone = match.Groups["name"].Value;
            // The first word is capitalized only because it begins the sentence.
            if (TermReader.Read(alone) is not [.., { HasSubstance: true }] || (match.Index == 0 && !hasSubject && FunctionWords.KindOf(alone.Split(' ')[0].ToLowerInvariant()) != TermKind.Content))
                continue;
            var noun = match.Groups["noun"].Value;
            if (noun.Length == 0 || !alone.StartsWith("the ", StringComparison.OrdinalIgnoreCase) || FunctionWords.KindOf(noun.Trim().Split(' ')[0]) != TermKind.Content)
                return [alone];
            // "When was the Gannet built?": the last word may be the verb.
            var isLast = match.Index + match.Length == words.Length;
            if (noun.Any(char.IsDigit))
                return [alone + noun];
            return isLast && hasParticiple ? [alone, alone + noun] : [alone + noun, alone];
        }

        return [];
    }

    private static bool HasPointer(string question)
    {
        var terms = TermReader.Read(question);
        var at = terms.ToList().FindIndex(term => term.Kind == TermKind.Pronoun);
        return (at >= 0 && !terms.Take(at).Any(term => term is { HasSubstance: true, IsCapital: true })) || AskedQuestion.PointsWithThat(terms);
    }

    private static (int Start, int End)? ChinesePointerIn(string words)
    {
        foreach (var match in ChinesePointer().Matches(words).AsEnumerable())
        {
            // Not a pronoun inside a word: 吉他 is a guitar.
            if (match.Index == 0 || match.Value[0] is '它' or '其' or '这' or '那' || !TermReader.IsWide(words[match.Index - 1]) || FunctionWords.WideAt(words, match.Index - 1) is not null)
                return (match.Index, match.Index + match.Length);
        }

        return null;
    }

    private static string WithTopic(string words, string topic)
    {
        // "its color" at the end becomes "the color of …"; elsewhere, and before a verb ("Where does his sister live?"), it becomes "…'s
        // color".
        if (OwnedToEnd().Match(words) is { Success: true } owned && !Support().IsMatch(words[..owned.Index]))
            return $"{words[..owned.Index]}the {owned.Groups["noun"].Value} of {topic}";
        return Pointed().Replace(Owned().Replace(words, _ => topic + "'s ", 1), _ => topic, 1);
    }

    // Words without a verb or a question word only name what is asked for.
    private static string AsQuestion(string words) => TermReader.Read(words).Any(term => term.Kind is TermKind.Interrogative or TermKind.Be or TermKind.Auxiliary) ? $"{words}?" : $"What is {words}?";

    private static string AsChineseQuestion(string words) => TermReader.Read(words).Any(term => term.Kind == TermKind.Interrogative) || words.EndsWith('吗') ? $"{words}？" : $"{words}是什么？";

    private static bool IsElliptical(IReadOnlyList<Term> terms) => !terms.Any(term => term.Kind is TermKind.Be or TermKind.Auxiliary) && (terms.Count == 0 || terms[0].Text is not ("who" or "what" or "when" or "where" or "why" or "tell"));

    [GeneratedRegex(@"^((and|but|ok|okay|so|then|also|now|or)\b[\s,]*)*((what|how)\s+about\b\s*)?((and|but)\b\s*)?", RegexOptions.IgnoreCase)]
    private static partial Regex Lead();

    [GeneratedRegex(@"^((那么|那|还有|另外|以及|请问|而且)[，,]?\s*)+")]
    private static partial Regex ChineseLead();

    [GeneratedRegex(@"[呢？?。！!\s]+$")]
    private static partial Regex ChineseEnd();

    [GeneratedRegex(@"它们|他们|她们|(?<!其)它|(?<!其)他|她|(?<![尤极土与])其(?![他它中实余次])|(这个|那个|这|那)(?=的|是|有多|多|在哪|叫|$)")]
    private static partial Regex ChinesePointer();

    [GeneratedRegex(@"^(thanks|thank\s+you|thx|cheers|hello|hi|bye|goodbye|yes|no|great|good|fine|谢谢|多谢|感谢|你好|您好|再见|好的|好|是的|不是)\b.{0,24}$", RegexOptions.IgnoreCase)]
    private static partial Regex Courtesy();

    [GeneratedRegex(@"['’]s$")]
    private static partial Regex Owner();

    [GeneratedRegex(@"\b(do|does|did|can|could|must|should|will|would|may|has|have|had)\b", RegexOptions.IgnoreCase)]
    private static partial Regex Support();

    [GeneratedRegex(@"\bhow\s+\w+\s*$", RegexOptions.IgnoreCase)]
    private static partial Regex DegreeBefore();

    [GeneratedRegex(@"^(the|a|an|in|at|on|for|which|what)\s+", RegexOptions.IgnoreCase)]
    private static partial Regex Article();

    [GeneratedRegex(@"\b(?:its|his|her|their)\s+(?<noun>(?!is\b|are\b)[\w-]+(?:\s+(?!is\b|are\b|in\b|on\b|at\b|for\b|to\b|and\b)[\w-]+){0,2})$", RegexOptions.IgnoreCase)]
    private static partial Regex OwnedToEnd();

    [GeneratedRegex(@"\b(its|his|their|her(?=\s+[a-z]))\s+", RegexOptions.IgnoreCase)]
    private static partial Regex Owned();

    [GeneratedRegex(@"\b([Ii]t|[Hh]e|[Ss]he|[Hh]im|[Hh]er|[Tt]hey|[Tt]hem|[Tt]his\s+one|[Tt]hat\s+one|[Tt]his|[Tt]hat|[Tt]hese|[Tt]hose)\b")]
    private static partial Regex Pointed();

    [GeneratedRegex(@"^(what|how much|how many|which)\s+(is|are|was|were)\s+(the\s+)?[\w-]+(\s+[\w-]+)?$", RegexOptions.IgnoreCase)]
    private static partial Regex NounOnly();

    [GeneratedRegex(@"\bof\s+(?<topic>(?:(?!\bof\b)[^,;])+?)(?=\s+(?:is|are|was|were|in|on|at|has|have)\b|[,;]|$)", RegexOptions.IgnoreCase | RegexOptions.RightToLeft)]
    private static partial Regex OfTopic();

    [GeneratedRegex(@"(?:^|\b(?:is|are|was|were|do|does|did|has|have|can|must|me|need|know)\s+)(?<topic>(?:(?!(?:what|when|where|who|which|how|is|are|was|were|do|does|did|tell|give|show)\b)[\w-]+\s+){0,3}(?!(?:what|when|where|who|how|it|that|here|there)['’])[\w-]+)['’]s\b", RegexOptions.IgnoreCase)]
    private static partial Regex OwnTopic();

    [GeneratedRegex(@"\b(is|are|was|were|does|do|did|has|have|can|could|must|should|will|would|may)\s+", RegexOptions.IgnoreCase)]
    private static partial Regex BehindVerb();

    [GeneratedRegex(@"\b(?<name>([Tt]he\s+)?[A-Z][\w-]*(\s+[A-Z0-9][\w-]*)*)(?<noun>\s+[a-z][\w-]*(\s+[0-9]\w*)?)?")]
    private static partial Regex Name();
}
