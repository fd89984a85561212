//! How a document looks: as plain text, and as HTML.

use minijinja::{Value, value::Serde};
use textwrap::{Options, WordSeparator, WordSplitter};

use crate::{
    document::{Block, Document},
    engine::{self, Format},
    foreign::{END_OF_ISOLATE, ISOLATE, visible},
};

/// Columns of a line of text.
const WIDTH: usize = 76;
/// Columns before the values of a table.
const LABELS: usize = 16;
/// Before each line that somebody else wrote.
const BAR: &str = "| ";
/// Bytes of a letter's text at most.
pub(crate) const LONGEST_TEXT: usize = 256 * 1024;
/// Bytes of a letter's HTML at most.
pub(crate) const LONGEST_HTML: usize = 512 * 1024;

const HTML: &str = include_str!("letter.html");

fn wrapped(text: &str, first: &str, next: &str) -> String {
    let options = Options::new(WIDTH)
        .initial_indent(first)
        .subsequent_indent(next)
        .break_words(true)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    let lines: Vec<_> = textwrap::wrap(text, options).into_iter().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Words of others as a block that they cannot leave: one paragraph, wrapped, each line behind a bar.
pub(crate) fn quote(text: &str) -> String {
    // A paragraph of its own needs no marks that keep its direction to itself.
    let text = visible(&text.replace([ISOLATE, END_OF_ISOLATE], ""), 8192);
    if text.is_empty() { BAR.trim_end().to_owned() } else { wrapped(&text, BAR, BAR) }
}

/// A command, set off from what is said of it.
fn command(line: &str) -> String {
    line.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// A document as plain text, with lines of at most 76 columns but for links and commands.
pub(crate) fn text(document: &Document) -> String {
    let mut parts = vec![];
    for block in &document.blocks {
        parts.push(match block {
            Block::Heading { text } => format!("\n{}", text.to_uppercase()),
            Block::Words { text } => wrapped(text, "", ""),
            Block::Facts { rows } => {
                let mut lines = vec![];
                for row in rows {
                    let mut label = format!("{:<LABELS$}", format!("{}:", row.label));
                    let next = " ".repeat(LABELS);
                    for line in &row.lines {
                        lines.push(wrapped(line, &label, &next));
                        label.clone_from(&next);
                    }
                    lines.extend(row.link.iter().map(|url| format!("{next}{url}")));
                }
                lines.join("\n")
            }
            Block::Quote { who, text } => format!("{}\n{}", wrapped(who, "", ""), quote(text)),
            Block::List { items } => items.iter().map(|item| wrapped(item, "- ", "  ")).collect::<Vec<_>>().join("\n"),
            Block::Command { about, line } => format!("{}\n{}", wrapped(about, "", ""), command(line)),
            Block::Link { about, url } => format!("{}\n    {url}", wrapped(about, "", "")),
        });
    }
    let footer: Vec<_> = document.footer.iter().map(|line| wrapped(line, "", "")).collect();
    format!("{}\n\n---\n{}\n", parts.join("\n\n").trim_start(), footer.join("\n"))
}

/// A document as HTML: no images, no style sheet, no script, nothing to load.
pub(crate) fn html(document: &Document) -> String {
    // The template is ours, and its values are bounded: were it to fail, the text says everything.
    engine::render(HTML, Format::Html, &Value::from(Serde(document)), LONGEST_HTML).unwrap_or_else(|_| {
        let escaped = text(document).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        format!("<!DOCTYPE html><html lang=\"en\"><body><pre>{escaped}</pre></body></html>")
    })
}
