//! Templates, within bounds: administrators write them, and what they show is written by others.

use lockbox_lifecycle::text::clip;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, syntax::SyntaxConfig};

use crate::layout;

/// Work and memory of one rendering: an instruction, or 64 bytes, each. About 6 MB.
const FUEL: u64 = 100_000;
/// Characters that are said about a template that cannot be used.
const LONGEST_TROUBLE: usize = 300;

/// What a template writes, and so how values are escaped in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Plain text: nothing is escaped.
    Text,
    /// Every value is escaped.
    Html,
    /// Every value is written as JSON, with its quotation marks.
    Json,
}

/// What a template made of its values; or why it cannot be used, in a sentence that names the line.
pub(crate) fn render(template: &str, format: Format, values: &Value, most: usize) -> Result<String, String> {
    // Nobody switches off what keeps the words of others from becoming markup.
    if template.contains("autoescape") {
        return Err("autoescape is not available: what a template shows is always escaped".into());
    }
    let mut engine = environment()?;
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(move |_| match format {
        Format::Text => AutoEscape::None,
        Format::Html => AutoEscape::Html,
        Format::Json => AutoEscape::Json,
    });
    engine.set_fuel(Some(FUEL));
    engine.remove_filter("safe");
    engine.add_filter("clip", |text: &str, most: usize| clip(text, most));
    engine.add_filter("quote", |text: &str| layout::quote(text));
    let rendered = engine
        .template_from_named_str("template", template)
        .and_then(|parsed| parsed.render(values.clone()))
        .map_err(|error| in_words(&error))?;
    if rendered.len() > most {
        return Err(format!("it writes {} bytes, and {most} are the most", rendered.len()));
    }
    Ok(rendered)
}

/// A tag on a line of its own leaves no empty line behind.
fn environment<'a>() -> Result<Environment<'a>, String> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    let mut engine = Environment::new();
    engine.set_syntax(syntax.map_err(|error| in_words(&error))?);
    Ok(engine)
}

fn in_words(error: &Error) -> String {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => "it does too much".to_owned(),
        kind => match error.detail() {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    clip(&format!("{what}{line}"), LONGEST_TROUBLE)
}
