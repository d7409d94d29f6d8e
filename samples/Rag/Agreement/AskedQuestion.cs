using static LocalLlm.Samples.Rag.Agreement.TermKind;

namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>What kind of answer a question word asks for.</summary>
internal enum AnswerKind
{
    Any,
    YesOrNo,
    Time,
    Place,
    Person,
    Reason,
    Way,
    Quantity,
}

/// <summary>What a question is about: what a sentence must say to answer it.</summary>
internal sealed class AskedQuestion
{
    private static readonly HashSet<string> s_requests = [.. "please tell show give say let know find need want like i me us you to out about if whether".Split(' ')];
    private static readonly HashSet<string> s_timeNouns = [.. "time year date day month".Split(' ')];
    private static readonly HashSet<string> s_placeNouns = [.. "city town place location".Split(' ')];
    private static readonly HashSet<string> s_timeWords = [.. "when 哪年 哪一年 哪天 何时 什么时候 几点 几时".Split(' ')];
    private static readonly HashSet<string> s_placeWords = [.. "where 哪里 哪儿 何处 什么地方".Split(' ')];
    private static readonly HashSet<string> s_quantityWords = [.. "多少 几 多久".Split(' ')];
    private static readonly HashSet<string> s_reasonWords = [.. "why 为什么 为何".Split(' ')];
    private static readonly HashSet<string> s_wayWords = [.. "how 怎么 怎样 如何".Split(' ')];
    private readonly List<AskedWord> _words = [];

    /// <summary>Everything of substance that it names, each once; nothing where it names nothing.</summary>
    public IReadOnlyList<AskedWord> Words => _words;

    public AnswerKind Wanted { get; private set; }

    /// <summary>What it points at without naming it ("its"); null: nothing.</summary>
    public string? Pointer { get; private set; }

    /// <summary>"Who leads …?": what is asked for stands before the verb.</summary>
    public bool AsksForSubject { get; private set; }

    /// <summary>Whether its verb is one of content ("What does … weigh?"), so that the answer may follow that verb at once.</summary>
    public bool HasVerb { get; private set; }

    /// <summary>A preposition at its end ("made of", "comes from") that waits for the answer; null: there is none.</summary>
    public string? Stranded { get; private set; }

    public static AskedQuestion Read(string question, Synonyms synonyms)
    {
        var asked = new AskedQuestion();
        var (text, phrases) = WithPlaceholders(question, synonyms);
        var terms = TermReader.Read(text).ToList();
        var isFirstOfPhrases = terms.Count > 0 && terms[0].Kind == Content && phrases.ContainsKey(terms[0].Text[0]);
        if (!isFirstOfPhrases)
            DropRequest(terms);
        asked.ReadForm(terms);
        asked.ReadWords(terms, phrases, synonyms);
        return asked;
    }

    /// <summary>Phrases of the synonyms, each as one character that nothing else has.</summary>
    private static (string Text, Dictionary<char, string> Phrases) WithPlaceholders(string question, Synonyms synonyms)
    {
        var text = question.Normalize(System.Text.NormalizationForm.FormKC);
        var phrases = new Dictionary<char, string>();
        var next = TermReader.FirstPlaceholder;
        foreach (var phrase in synonyms.Phrases)
        {
            for (var at = text.IndexOf(phrase, StringComparison.OrdinalIgnoreCase); at >= 0 && next <= TermReader.LastPlaceholder; at = text.IndexOf(phrase, at + 1, StringComparison.OrdinalIgnoreCase))
            {
                if (!TermReader.IsWide(phrase[0]) && ((at > 0 && char.IsLetterOrDigit(text[at - 1])) || (at + phrase.Length < text.Length && char.IsLetterOrDigit(text[at + phrase.Length]))))
                    continue;
                phrases[next] = phrase;
                text = $"{text[..at]}{next}{text[(at + phrase.Length)..]}";
                next++;
            }
        }

        return (text, phrases);
    }

    /// <summary>"Please tell me", "Can you show me", "I need": politeness around the question.</summary>
    private static void DropRequest(List<Term> terms)
    {
        while (terms.Count > 0)
        {
            var isOfYou = terms[0].Kind == Auxiliary && terms.Skip(1).Take(1).Any(next => next.Text is "you" or "i" or "like");
            if (!isOfYou && !s_requests.Contains(terms[0].Text) && terms[0].Kind != Break && !(terms[0].Kind == Conjunction && !terms[0].IsWide))
                return;
            terms.RemoveAt(0);
        }
    }

    private void ReadForm(List<Term> terms)
    {
        var at = terms.FindIndex(term => term.Kind == Interrogative);
        var word = at < 0 ? "" : terms[at].Text;
        var following = at >= 0 && at + 1 < terms.Count ? terms[at + 1].Text : "";
        var hasNoun = word is "what" or "which";
        // The noun only says which kind of answer is wanted: no sentence needs to repeat it.
        if (hasNoun && (s_timeNouns.Contains(following) || s_placeNouns.Contains(following)))
            terms.RemoveAt(at + 1);
        Wanted = word switch
        {
            _ when s_timeWords.Contains(word) || (hasNoun && s_timeNouns.Contains(following)) => AnswerKind.Time,
            _ when s_placeWords.Contains(word) || (hasNoun && s_placeNouns.Contains(following)) => AnswerKind.Place,
            "who" or "whom" or "谁" => AnswerKind.Person,
            _ when s_reasonWords.Contains(word) => AnswerKind.Reason,
            _ when s_quantityWords.Contains(word) || (word == "how" && following is "many" or "much") => AnswerKind.Quantity,
            _ when s_wayWords.Contains(word) => at + 1 < terms.Count && terms[at + 1].Kind is Content ? AnswerKind.Any : AnswerKind.Way,
            "" when terms.Count > 0 && (terms[0].Kind is Be or Auxiliary || terms.Any(term => term.Text == "吗")) => AnswerKind.YesOrNo,
            _ => AnswerKind.Any,
        };
        var hasAuxiliary = terms.Any(term => term is { Kind: Be or Auxiliary, IsWide: false });
        AsksForSubject = at == 0 && word is "who" or "what" or "which" && !hasAuxiliary;
        HasVerb = AsksForSubject || terms.Any(term => term is { Kind: Auxiliary, IsWide: false, Text: not ("has" or "have" or "had" or "having") });
        // In Chinese the answer takes the place of the question word: 使用什么 … 使用柴油.
        HasVerb |= at > 0 && terms[at] is { IsWide: true } && terms[at - 1].Kind == Content;
        Stranded = at >= 0 && terms.LastOrDefault(term => term.Kind != Break) is { Kind: Preposition or Possessive, IsWide: false } last && last.Text != "'s" ? last.Text : null;
        if (Wanted == AnswerKind.Place)
            terms.RemoveAll(term => term.Text == "find");
    }

    private void ReadWords(List<Term> terms, Dictionary<char, string> phrases, Synonyms synonyms)
    {
        var hasSupport = false;
        for (var i = 0; i < terms.Count; i++)
        {
            var term = terms[i];
            if (term.Kind == Pronoun)
            {
                // "What does Tom do in his free time?" names him.
                if (!terms.Take(i).Any(other => other is { Kind: Content, IsCapital: true }))
                    Pointer ??= term.Text;
            }
            else if (term is { Kind: Content, IsWide: true })
            {
                var run = string.Concat(terms.Skip(i).TakeWhile(other => other is { Kind: Content, IsWide: true }).Select(other => other.Text));
                i += run.Length - 1;
                Add(new(synonyms.Of(run), IsWide: true));
            }
            else if (term.Kind == Content && phrases.TryGetValue(term.Text[0], out var phrase))
                Add(new(synonyms.Of(phrase), TermReader.IsWide(phrase[0])) { IsMeasure = true, IsDegree = phrase.StartsWith("how ", StringComparison.Ordinal) || phrase[0] == '多' });
            else if (term.HasSubstance)
                Add(new(term.Kind == Number ? [term.Text] : synonyms.Of(term.Text)) { IsName = term.IsCapital && i > 0, IsMeasure = synonyms.Has(term.Text), IsDegree = i > 0 && terms[i - 1].Text == "how" });
            else if (IsMainVerb(terms, i, hasSupport) || (term.Kind == Preposition && !term.IsWide && !FunctionWords.IsLight(term.Text)) || term.Text == "whose")
                Add(new(term.Text == "have" ? ["have", "has", "had"] : [term.Text], term.IsWide));
            hasSupport |= term is { Kind: Auxiliary, IsWide: false };
        }

        // "Who is Tom Lee?" asks what he is.
        if (Wanted == AnswerKind.Person && _words.Count > 0 && _words.All(word => word.IsName))
            Wanted = AnswerKind.Any;
        // "How high is the price?" asks for the price, not for a height.
        if (_words.Any(word => word is { IsMeasure: true, IsDegree: false }))
            _words.RemoveAll(word => word is { IsMeasure: true, IsDegree: true });

        void Add(AskedWord word)
        {
            if (!_words.Any(known => known.Forms[0] == word.Forms[0]))
                _words.Add(word);
        }
    }

    /// <summary>"What does it do?", "What does it have?", 有什么: an auxiliary that is all the verb there is.</summary>
    private static bool IsMainVerb(List<Term> terms, int at, bool hasSupport)
    {
        var term = terms[at];
        if (term.Kind != Auxiliary)
            return false;
        if (term.IsWide)
            return term.Text == "有" && terms.Skip(at + 1).All(other => other.Kind is Interrogative or Break or Function);
        // "Which color does it have?" asks for the color, and "have to" is "must".
        var asked = terms.FindIndex(other => other.Kind == Interrogative);
        var hasNoun = asked >= 0 && asked + 1 < terms.Count && terms[asked + 1].Kind is Content or Function;
        return hasSupport && (term.Text == "do" || (term.Text == "have" && !hasNoun && !(at + 1 < terms.Count && terms[at + 1].Text == "to")));
    }
}

/// <summary>Something that a question names.</summary>
/// <param name="Forms">The word, then those that say the same.</param>
/// <param name="IsWide">Whether it is of a script without spaces: a run of characters, which a sentence may have in parts of two or more.</param>
internal sealed record AskedWord(IReadOnlyList<string> Forms, bool IsWide = false)
{
    /// <summary>Whether it belongs to a set of synonyms, as measures do.</summary>
    public bool IsMeasure { get; init; }

    /// <summary>Whether it was written with a capital letter, so that no other form of it is meant: Peters is not Peter.</summary>
    public bool IsName { get; init; }

    /// <summary>Whether it stands behind "how".</summary>
    public bool IsDegree { get; init; }
}
