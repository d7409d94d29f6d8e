using System.Text;
using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Documents;
using LocalLlm.Tests;
using LocalLlm.Tests.Weights;
using Microsoft.Extensions.Options;
using UglyToad.PdfPig.Content;
using UglyToad.PdfPig.Fonts.Standard14Fonts;
using UglyToad.PdfPig.Writer;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Documents;

public sealed class DocumentFolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Markdown_gives_sections_by_its_headings_and_text_without_its_signs()
    {
        _folder.Write("a.md", """
            ---
            secret: front matter
            ---
            Before any heading.

            # Devices & more

            The *power* of the `Ember` [server](http://example.com) is
            **903** watts.

            <script>alert(1)</script>

            <div class="note">Shown &amp; <b>seen</b><!-- not
            this --></div>

            One<br>two.

            ## List

            - one
            - two &amp; three

            > quoted

            | device | price |
            |--------|-------|
            | Vega   | 5     |

            # Last
            End.
            """);
        var sections = (await Folder().ReadAsync("a.md", Token)).Sections;
        Assert.Equal(
            [
                ("", "Before any heading."),
                ("Devices & more", "The power of the Ember server is 903 watts.\n\nShown & seen\n\nOne two."),
                ("Devices & more › List", "one\n\ntwo & three\n\nquoted\n\ndevice: Vega; price: 5"),
                ("Last", "End."),
            ],
            sections.Select(section => (section.Heading, section.Text)));
    }

    [Theory]
    [InlineData("# A\n\n## B\n\n# C\n\nText.", "A: B", "C: Text.")]
    [InlineData("# A\n\nText.\n\n## B", "A: Text.", "A: B")]
    [InlineData("# Only", ": Only")]
    [InlineData("<p>Only</p>", ": Only")]
    public async Task A_heading_or_HTML_alone_is_text(string markdown, params string[] wanted)
    {
        _folder.Write("a.md", markdown);
        Assert.Equal(wanted, (await Folder().ReadAsync("a.md", Token)).Sections.Select(section => $"{section.Heading}: {section.Text}"));
    }

    [Fact]
    public async Task HTML_without_any_end_takes_no_longer_than_its_length()
    {
        foreach (var part in new[] { "<a ", "<!-- ", "<script>", "<br" })
        {
            _folder.Write("a.md", "<div>\n" + string.Concat(Enumerable.Repeat(part, 100_000)));
            var failure = await Record.ExceptionAsync(() => Folder(options => options.ReadTimeout = TimeSpan.FromSeconds(10)).ReadAsync("a.md", Token));
            Assert.DoesNotContain("took longer", failure?.Message ?? "", StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_passage_of_a_PDF_names_the_pages_from_its_first_character_to_its_last()
    {
        Pdf([["One on the first page.", "Two goes on"], ["to the second page.", "Three is there."], ["Four is on the third."]]);
        var document = await Folder().ReadAsync("a.pdf", Token);
        Assert.Single(document.Sections);
        var passages = new Chunker(text => text.Count(c => c is '.'), new() { MaxTokens = 1, OverlapTokens = 0 }).Split(document);
        Assert.Equal([("One on the first page.", "page 1"), ("Two goes on to the second page.", "pages 1–2"), ("Three is there.", "page 2"), ("Four is on the third.", "page 3")], passages.Select(passage => (passage.Text, passage.Places!.Described(0, passage.Text.Length))));
    }

    [Fact]
    public async Task Running_headers_and_footers_of_a_pdf_are_no_text()
    {
        Pdf([["Yearly report", "One is here. Two goes on", "Page 1 of 3"], ["Yearly report", "to the second page.", "Page 2 of 3"], ["Yearly report", "Three is there.", "Page 3 of 3"]]);
        var section = Assert.Single((await Folder().ReadAsync("a.pdf", Token)).Sections);
        Assert.Contains("Two goes on to the second page.", section.Text.ReplaceLineEndings(" "), StringComparison.Ordinal);
        Assert.DoesNotContain("Yearly report", section.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("Page", section.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_inner_list_stands_under_the_item_above_it()
    {
        _folder.Write("a.md", "# Winches\n\n- Osprey winch: 230 volts\n- Kestrel winch\n  - Price: 9 euros\n- The Merlin winch is blue.\n  - It is new.\n\nAll are here.\n");
        var sections = (await Folder().ReadAsync("a.md", Token)).Sections;
        Assert.Equal("Price: 9 euros", Assert.Single(sections, section => section.Heading == "Winches › Kestrel winch").Text);
        Assert.Equal("Osprey winch: 230 volts|The Merlin winch is blue.\n\nIt is new.\n\nAll are here.", string.Join('|', sections.Where(section => section.Heading == "Winches").Select(section => section.Text)));
    }

    [Fact]
    public async Task Each_sentence_of_Markdown_and_text_stands_on_its_own_lines()
    {
        _folder.Write("a.md", "---\nx: 1\n---\n\n# Title\n\nOne is here. Two goes\non there. Three *ends*\nit.\n\n- Four.\n- Five.\n\n| A | B |\n|---|---|\n| Six. | 1 |\n| Seven. | 2 |\n\n```\nEight.\nNine.\n```\n\n<div>\n<b>Ten.</b>\nEleven.</div>\n\n## Alone\n");
        _folder.Write("b.txt", "Title\n=====\n\nOne is here. Two goes\non there. Three\nends.\n- Four.\n- Five.\n\n\n他住在\n北京。她也是。\n");
        Assert.Equal(
            ["One 7", "Two 7–8", "Three 8–9", "Four 11", "Five 12", "A: 16", "A: 17", "Eight 20", "Nine 21", "Ten 25", "Eleven 26", "Alone 28"],
            Places(await Folder().ReadAsync("a.md", Token)));
        Assert.Equal(["One 4", "Two 4–5", "Three 5–6", "- Four 7", "- Five 8", "他住在北京 11–12", "她也是 12"], Places(await Folder().ReadAsync("b.txt", Token)));

        // Makes each sentence a passage and names it by its first word.
        static IEnumerable<string> Places(Rag.Documents.SourceDocument document) => new Chunker(text => text.Count(c => c is '.' or '。') + text.Split('\n').Length - 1, new() { MaxTokens = 1, OverlapTokens = 0, EmbedHeadings = false })
            .Split(document).Select(passage => $"{Name(passage.Text)} {passage.Places!.Described(0, passage.Text.Length).Split(' ')[1]}");

        static string Name(string text) => text.StartsWith("- ", StringComparison.Ordinal) ? text[..^1] : text.Split(' ', '.', '。')[0];
    }

    [Fact]
    public async Task A_title_of_two_lines_is_one_and_only_a_number_at_the_edge_is_a_pages()
    {
        Pdf([["#A title that", "#goes on", "The number of pumps is", "1", "and no more.", "1"]]);
        var section = Assert.Single((await Folder().ReadAsync("a.pdf", Token)).Sections);
        Assert.Equal(("A title that goes on", "The number of pumps is 1 and no more."), (section.Heading, section.Text));
    }

    [Fact]
    public async Task Plain_text_gives_paragraphs_of_wrapped_lines_and_headings_by_rulers()
    {
        _folder.Write("a.txt", "\uFEFFTitle\n=====\n\nA line\nthat goes on.\n\nPart\n----\n- one\n- two\n\n他住在\n北京。\n-----\nEnd.");
        var sections = (await Folder().ReadAsync("a.txt", Token)).Sections;
        Assert.Equal(
            [("Title", "A line that goes on."), ("Title › Part", "- one\n\n- two\n\n他住在北京。\n\nEnd.")],
            sections.Select(section => (section.Heading, section.Text)));
    }

    [Fact]
    public async Task A_PDF_gives_headings_by_size_paragraphs_by_gaps_and_pages()
    {
        var shipped = Folder(options => options.Folder = Path.Combine(TestPaths.Repository, "samples", "Rag", "documents"));
        var sections = (await shipped.ReadAsync("survey.pdf", Token)).Sections;
        Assert.Equal("Survey of the test field", sections[0].Heading);
        Assert.Equal("The survey was made in autumn. It lists the devices that stand outside, with what was measured on each.", sections[0].Text);
        Assert.Equal("Survey of the test field › Pioneer printer", sections[1].Heading);
        Assert.Equal("The weight of the Pioneer printer is 194 kg. The price of the Pioneer printer is 242 dollars. The length of the Pioneer printer is 289 meters.\n\nThe color of the Pioneer printer is gray. Two people are needed to move it.", sections[1].Text);
        Assert.Equal([1, 1, 1, 1, 2, 2, 2, 3, 3, 3], sections.Select(section => section.Places!.At(0, 1).First));
    }

    [Theory]
    [InlineData("latin.txt", "not UTF-8 (byte 1); save it as UTF-8, or convert it, Chinese text for example by iconv -f GB18030 -t UTF-8")]
    [InlineData("half.txt", "not the UTF-16")]
    [InlineData("nul.txt", "NUL")]
    [InlineData("empty.md", "it is empty")]
    [InlineData("blank.txt", "it is empty")]
    [InlineData("deep.md", "nested")]
    [InlineData("noise.pdf", "cannot be read as PDF")]
    [InlineData("loop.pdf", "cannot be read as PDF")]
    [InlineData("cut.pdf", "PDF")]
    [InlineData("encrypted.pdf", "encrypted")]
    [InlineData("picture.pdf", "have no text")]
    [InlineData("picture.png", "known: .md, .markdown, .txt and .pdf")]
    [InlineData("large.txt", "has 2001 bytes; allowed: 2000")]
    [InlineData("gone.txt", "cannot be opened")]
    public async Task What_cannot_be_read_is_reported_in_one_sentence(string name, string wanted)
    {
        foreach (var (file, bytes) in Hostile())
            _folder.Write(file, bytes);
        var folder = Folder(options => options.MaxFileBytes = name == "large.txt" ? 2000 : 1 << 20);
        var failure = await Assert.ThrowsAsync<RagException>(() => folder.ReadAsync(name, Token));
        Assert.Contains(wanted, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_damaged_PDF_is_read_in_part_or_refused_and_nothing_else()
    {
        var survey = File.ReadAllBytes(Path.Combine(TestPaths.Repository, "samples", "Rag", "documents", "survey.pdf"));
        var mutator = new Mutator(3);
        for (var round = 0; round < Mutator.Times(60); round++)
        {
            _folder.Write("a.pdf", mutator.Mutate(survey));
            if (await Record.ExceptionAsync(() => Folder().ReadAsync("a.pdf", Token)) is { } failure)
                Assert.IsType<RagException>(failure);
        }
    }

    [Theory]
    [InlineData("[", "]")]
    [InlineData("<< /A ", " >>")]
    public async Task A_PDF_that_is_nested_without_end_is_refused(string opening, string closing)
    {
        var survey = Encoding.Latin1.GetString(File.ReadAllBytes(Path.Combine(TestPaths.Repository, "samples", "Rag", "documents", "survey.pdf")));
        var nested = $"/Type /Catalog /X {string.Concat(Enumerable.Repeat(opening, 50_000))}1{string.Concat(Enumerable.Repeat(closing, 50_000))}";
        _folder.Write("a.pdf", Encoding.Latin1.GetBytes(survey.Replace("/Type /Catalog", nested, StringComparison.Ordinal)));
        Assert.Contains("cannot be read as PDF", (await Assert.ThrowsAsync<RagException>(() => Folder().ReadAsync("a.pdf", Token))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_PDF_with_too_many_pages_is_refused()
    {
        File.Copy(Path.Combine(TestPaths.Repository, "samples", "Rag", "documents", "survey.pdf"), _folder["a.pdf"]);
        var failure = await Assert.ThrowsAsync<RagException>(() => Folder(options => options.MaxPdfPages = 2).ReadAsync("a.pdf", Token));
        Assert.Contains("has 3 pages; allowed: 2", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void All_files_are_listed_but_hidden_ones_and_links()
    {
        _folder.Write("b.md", "x");
        _folder.Write(".hidden.md", "x");
        Directory.CreateDirectory(_folder["sub"]);
        _folder.Write("sub/a.txt", "x");
        File.CreateSymbolicLink(_folder["link.md"], "/etc/passwd");
        Assert.Equal(["b.md", "sub/a.txt"], Folder().List().Files);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task UTF_16_with_a_byte_order_mark_is_read(bool bigEndian)
    {
        var encoding = new UnicodeEncoding(bigEndian, byteOrderMark: true);
        _folder.Write("a.txt", [.. encoding.GetPreamble(), .. encoding.GetBytes("压力是412巴。")]);
        Assert.Equal("压力是412巴。", Assert.Single((await Folder().ReadAsync("a.txt", Token)).Sections).Text);
    }

    [Fact]
    public async Task A_pipe_is_refused_and_not_waited_for()
    {
        using (var made = System.Diagnostics.Process.Start("mkfifo", _folder["pipe.txt"]))
            await made.WaitForExitAsync(Token);
        Assert.Equal(["pipe.txt"], Folder().List().Files);
        var failure = await Assert.ThrowsAsync<RagException>(() => Folder().ReadAsync("pipe.txt", Token));
        Assert.Contains("no regular file", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_backslash_in_a_name_is_a_letter_where_it_separates_nothing()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a backslash separates folders");
        _folder.Write("back\\slash.txt", "One.");
        Assert.Equal(["back\\slash.txt"], Folder().List().Files);
        Assert.Equal("One.", (await Folder().ReadAsync("back\\slash.txt", Token)).Sections[0].Text);
    }

    [Fact]
    public void A_folder_that_is_not_there_is_reported()
    {
        var failure = Assert.Throws<RagException>(() => Folder(options => options.Folder = _folder["none"]).List());
        Assert.Contains("does not exist", failure.Message, StringComparison.Ordinal);
    }

    /// <summary>Writes a PDF file with these lines on its pages; lines with # get a larger font.</summary>
    private void Pdf(string[][] pages)
    {
        var builder = new PdfDocumentBuilder();
        var font = builder.AddStandard14Font(Standard14Font.Helvetica);
        foreach (var lines in pages)
        {
            var page = builder.AddPage(PageSize.A4);
            for (var index = 0; index < lines.Length; index++)
                page.AddText(lines[index].TrimStart('#'), lines[index][0] == '#' ? 16 : 12, new(50, 750 - (16 * index)), font);
        }

        _folder.Write("a.pdf", builder.Build());
    }

    public void Dispose() => _folder.Dispose();

    private static Dictionary<string, byte[]> Hostile()
    {
        var noise = new byte[3000];
        new Random(1).NextBytes(noise);
        var survey = File.ReadAllBytes(Path.Combine(TestPaths.Repository, "samples", "Rag", "documents", "survey.pdf"));
        return new()
        {
            ["latin.txt"] = [(byte)'a', 0xE4, (byte)'b'],
            ["half.txt"] = [0xFF, 0xFE, 0x00, 0xD8],
            ["nul.txt"] = "a\0b"u8.ToArray(),
            ["empty.md"] = [],
            ["blank.txt"] = " \n\t\n"u8.ToArray(),
            ["deep.md"] = Encoding.UTF8.GetBytes(new string('>', 5000) + " deep"),
            ["noise.pdf"] = noise,
            ["loop.pdf"] = "%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 1 0 R >>\nendobj\ntrailer << /Root 1 0 R >>\n"u8.ToArray(),
            ["cut.pdf"] = survey[..700],
            ["encrypted.pdf"] = Encoding.Latin1.GetBytes(Encoding.Latin1.GetString(survey).Replace("trailer\n<<", "trailer\n<< /Encrypt << /Filter /Standard /V 1 /R 2 /O <" + new string('A', 64) + "> /U <" + new string('B', 64) + "> /P -4 >> /ID [<AA><AA>]", StringComparison.Ordinal)),
            ["picture.pdf"] = Encoding.Latin1.GetBytes(Encoding.Latin1.GetString(survey).Replace(" Tj ", " xx ", StringComparison.Ordinal)),
            ["picture.png"] = [0x89, (byte)'P'],
            ["large.txt"] = Encoding.UTF8.GetBytes(new string('a', 2001)),
        };
    }

    private DocumentFolder Folder(Action<DocumentOptions>? change = null)
    {
        var options = new RagOptions { Documents = { Folder = _folder.Path } };
        change?.Invoke(options.Documents);
        return new(Options.Create(options));
    }
}
