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

/// <summary>What a question asks: what a sentence must say to answer it.</summary>
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
    private static readonly HashSet<string> s_generalDegrees = [.. "high low big large great much small".Split(' ')];
    private readonly List<AskedWord> _words = [];

    /// <summary>Everything of substance that the question names, each word once; may be empty.</summary>
    public IReadOnlyList<AskedWord> Words => _words;

    public AnswerKind Wanted { get; private set; }

    /// <summary>The word by which the question points at something without naming it ("its"); null: none.</summary>
    public string? Pointer { get; private set; }

    /// <summary>"Who leads …?": the answer stands before the verb.</summary>
    public bool AsksForSubject { get; private set; }

    /// <summary>Whether its verb has content ("What does … weigh?"), so that the answer may follow the verb directly.</summary>
    public bool HasVerb { get; private set; }

    /// <summary>A preposition at the end of the question ("made of", "comes from") that the answer completes; null: none.</summary>
    public string? Stranded { get; private set; }

    /// <summary>Whether the question has a negation.</summary>
    public bool IsNegative { get; private set; }

    /// <summary>"What is the X of Y?": the answer says what the thing is, and follows a form of "to be".</summary>
    public bool AsksForValue { get; private set; }

    /// <summary>The question's verb is active and has its subject before it: "Who did Rita hire?"</summary>
    public bool IsActive { get; private set; }

    /// <summary>Whether it asks what must be (true) or may be (false); null: neither.</summary>
    public bool? IsDuty { get; private set; }

    /// <summary>It asks about the present: "is", not "was".</summary>
    public bool IsPresent { get; private set; }

    /// <summary>The question's prepositions, each with the word that it governs; a sentence with another preposition there means something
    /// else.</summary>
    public IReadOnlyList<Relation> Relations { get; private set; } = [];

    /// <summary>What belongs to what: "Y of X", "X's Y", X的Y.</summary>
    public IReadOnlyList<(string Owner, string Owned)> Owned { get; private set; } = [];

    /// <summary>The words that name the thing in question: the owner in "the X of Y", else names, else all words that are no
    /// measure.</summary>
    public IEnumerable<AskedWord> Thing
    {
        get
        {
            AskedWord[][] candidates = [[.. _words.Where(word => Owned.Any(pair => pair.Owner == word.Forms[0]))], [.. _words.Where(word => word.IsName)], [.. _words.Where(word => !word.IsMeasure)], [.. _words]];
            return candidates.First(words => words.Length > 0 || ReferenceEquals(words, candidates[^1]));
        }
    }

    /// <summary>The counted thing: the word after "how many" or 多少.</summary>
    public string? Counted { get; private set; }

    public static AskedQuestion Read(string question, Synonyms synonyms)
    {
        var asked = new AskedQuestion();
        var (text, phrases) = WithPlaceholders(question, synonyms);
        var terms = TermReader.Read(text).ToList();
        var isFirstOfPhrases = terms.Count > 0 && terms[0].Kind == Content && phrases.ContainsKey(terms[0].Text[0]);
        if (!isFirstOfPhrases)
            DropRequest(terms);
        asked.IsDuty = DutyIn(terms);
        asked.IsNegative = Negation.IsIn(terms);
        asked.ReadForm(terms);
        asked.Relations = Relation.In(terms);
        asked.Owned = Ownership.In(terms);
        asked.ReadWords(terms, phrases, synonyms);
        return asked;
    }

    /// <summary>The question with each phrase of the synonyms replaced by a character that occurs nowhere else.</summary>
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

    /// <summary>Removes politeness around the question: "Please tell me", "Can you show me", "I need".</summary>
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
        // The noun only says what kind of answer is wanted: a sentence need not repeat it.
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
        // In Chinese the answer stands where the question word does: 使用什么 … 使用柴油.
        HasVerb |= at > 0 && terms[at] is { IsWide: true } && terms[at - 1].Kind == Content;
        var isWide = at >= 0 && terms[at].IsWide;
        AsksForSubject |= isWide && at == 0 && word == "谁" && following is not ("是" or "为" or "的");
        HasVerb |= AsksForSubject;
        AsksForValue = !HasVerb && !IsStranded(terms) && (terms.Any(term => term.Kind == Be) || (isWide && terms.Any(term => term.Kind == Possessive))) && (Wanted is AnswerKind.Any or AnswerKind.Person || (isWide && Wanted == AnswerKind.Quantity && terms[at - (at > 0 ? 1 : 0)].Kind == Be));
        IsActive = at >= 0 && terms.Any(term => term.Text is "do" or "does" or "did");
        IsPresent = terms.Any(term => term.Text is "is" or "are" or "'s" && term.Kind == Be);
        Counted = Wanted == AnswerKind.Quantity && (isWide ? following : at + 2 < terms.Count && terms[at + 2].Kind == Content ? terms[at + 2].Text : null) is { Length: > 0 } counted && (isWide ? at + 1 < terms.Count && terms[at + 1].Kind == Content : true) ? counted : null;
        Stranded = at >= 0 && IsStranded(terms) ? terms.Last(term => term.Kind != Break).Text : null;
        if (Wanted == AnswerKind.Place)
            terms.RemoveAll(term => term.Text == "find");
    }

    /// <summary>Whether a text says that something must be (true) or may be (false); null: neither, or both.</summary>
    public static bool? DutyIn(IReadOnlyList<Term> terms)
    {
        var (must, may) = (terms.Any(term => term.Text is "must" or "should" or "shall" or "必须" or "应该" or "应当"), terms.Any(term => term.Kind == Auxiliary && term.Text is "may" or "might" or "can" or "could" or "可以" or "能够"));
        return must == may ? null : must;
    }

    private static bool IsStranded(List<Term> terms) => terms.LastOrDefault(term => term.Kind != Break) is { Kind: Preposition or Possessive, IsWide: false, Text: not "'s" };

    private void ReadWords(List<Term> terms, Dictionary<char, string> phrases, Synonyms synonyms)
    {
        var hasSupport = false;
        Pointer = PointerOf(terms);
        for (var i = 0; i < terms.Count; i++)
        {
            var term = terms[i];
            if (term.Kind == Pronoun)
            {
                // "What does Tom do in his free time?" names the person that "his" means.
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
                Add(new(synonyms.Of(phrase), TermReader.IsWide(phrase[0])) { IsMeasure = synonyms.IsMeasure(phrase), IsGeneralDegree = phrase.StartsWith("how ", StringComparison.Ordinal) || phrase is "多大" or "多高", IsDegree = phrase.StartsWith("how ", StringComparison.Ordinal) || phrase[0] == '多' });
            else if (term.HasSubstance)
                Add(new(term.Kind == Number ? [term.Text] : synonyms.Of(term.Text)) { IsName = term.IsCapital && i > 0, IsMeasure = synonyms.IsMeasure(term.Text), IsDegree = i > 0 && terms[i - 1].Text == "how", IsGeneralDegree = i > 0 && terms[i - 1].Text == "how" && s_generalDegrees.Contains(term.Text) });
            else if (IsMainVerb(terms, i, hasSupport) || (term.Kind == Preposition && !term.IsWide && !FunctionWords.IsLight(term.Text)) || term.Text == "whose")
                Add(new(term.Text == "have" ? ["have", "has", "had"] : [term.Text], term.IsWide));
            hasSupport |= term is { Kind: Auxiliary, IsWide: false };
        }

        // "Who is Tom Lee?" asks what he is.
        if (Wanted == AnswerKind.Person && _words.Count > 0 && _words.All(word => word.IsName))
            Wanted = AnswerKind.Any;
        // "How high is the price?" asks for the price, not for a height; "How old is the price?" asks for something else.
        if (_words.Any(word => word is { IsMeasure: true, IsDegree: false }))
            _words.RemoveAll(word => word.IsGeneralDegree);
        // "the age of the old bridge": the adjective says which bridge, not how old it is.
        for (var i = 0; i < _words.Count; i++)
        {
            var (word, at) = (_words[i], i);
            if (word is { IsDegree: false, IsWide: false } && Synonyms.IsDegree(word.Forms[0]) && _words.Where((_, other) => other != at).Any(other => other.Forms.Contains(word.Forms[0])))
                _words[i] = word with { Forms = [word.Forms[0]] };
        }

        void Add(AskedWord word)
        {
            if (!_words.Any(known => known.Forms[0] == word.Forms[0]))
                _words.Add(word);
        }
    }

    /// <summary>Whether the question points at something with a word that has no noun: "How heavy is this?", "the price of that one",
    /// 这个多少钱.</summary>
    public static bool PointsWithThat(IReadOnlyList<Term> terms) => PointerOf(terms) is not null;

    private static string? PointerOf(IReadOnlyList<Term> terms)
    {
        for (var at = 0; at < terms.Count; at++)
        {
            var next = at + 1 < terms.Count ? terms[at + 1] : default;
            var isLast = next.Text is null || next.Kind is Break or Preposition or Be or Auxiliary or Possessive;
            if (terms[at].Text is "这" or "那" or "这个" or "那个" && (isLast || next.Text is "多" || next.Kind == Interrogative))
                return terms[at].Text;
            // "that" in "the crane that is blue" does not point at anything else.
            if (terms[at].Text is "this" or "that" or "these" or "those" && (isLast || next.Text == "one") && !(at > 0 && terms[at - 1].HasSubstance && next.Kind is Be or Auxiliary))
                return terms[at].Text;
        }

        return null;
    }

    /// <summary>Whether an auxiliary is the only verb: "What does it do?", "What does it have?", 有什么.</summary>
    private static bool IsMainVerb(List<Term> terms, int at, bool hasSupport)
    {
        var term = terms[at];
        if (term.Kind != Auxiliary)
            return false;
        if (term.IsWide)
            return term.Text == "有" && terms.Skip(at + 1).All(other => other.Kind is Interrogative or Break or Function);
        // "Which color does it have?" asks for the color, and "have to" means "must".
        var asked = terms.FindIndex(other => other.Kind == Interrogative);
        var hasNoun = asked >= 0 && asked + 1 < terms.Count && terms[asked + 1].Kind is Content or Function;
        return hasSupport && (term.Text == "do" || (term.Text == "have" && !hasNoun && !(at + 1 < terms.Count && terms[at + 1].Text == "to")));
    }
}

/// <summary>Something that a question names.</summary>
/// <param name="Forms">The word, then its synonyms.</param>
/// <param name="IsWide">Whether its script has no spaces between words. The word is then a run of characters, and a sentence may have it in
/// parts of two characters or more.</param>
internal sealed record AskedWord(IReadOnlyList<string> Forms, bool IsWide = false)
{
    /// <summary>Whether it names something that is measured: a weight, a price.</summary>
    public bool IsMeasure { get; init; }

    /// <summary>Whether it was capitalized, so that only this form is meant: Peters is not Peter.</summary>
    public bool IsName { get; init; }

    /// <summary>Whether it follows "how".</summary>
    public bool IsDegree { get; init; }

    /// <summary>Whether it follows "how" and asks for the amount of any measure: "how high" may ask for a price.</summary>
    public bool IsGeneralDegree { get; init; }
}
