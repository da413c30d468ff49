//! Two renderings: rustc's for a person at a terminal, HAProxy's one line for everything else.
//!
//! Scripts and monitoring read HAProxy's form, so its shape is exact; what Haring adds to it (the
//! help) follows on lines of its own, marked as HAProxy marks the rest of a long message.

use annotate_snippets::{AnnotationKind, Group, Level as Mark, Renderer, Snippet};

use super::{Diagnostic, Level, Report, Span, Stage};

/// Columns that a label takes, brackets included.
const LABEL_WIDTH: usize = 10;
/// Columns of a line that an excerpt shows in HAProxy's form.
const EXCERPT_WIDTH: usize = 80;

/// How a whole report is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form {
    /// The process to name in HAProxy's form.
    pub pid: u32,
    /// rustc's form instead of HAProxy's.
    pub rich: bool,
    /// With colours (rich only).
    pub color: bool,
    /// Show [`Level::Diag`] too (`-dD`).
    pub diag: bool,
}

impl Level {
    /// HAProxy's label.
    fn label(self) -> &'static str {
        match self {
            Level::Notice => "NOTICE",
            Level::Diag => "DIAG",
            Level::Warning => "WARNING",
            Level::Alert => "ALERT",
        }
    }

    fn mark(self) -> Mark<'static> {
        match self {
            Level::Notice => Mark::NOTE,
            Level::Diag => Mark::INFO.with_name("diag"),
            Level::Warning => Mark::WARNING,
            Level::Alert => Mark::ERROR,
        }
    }
}

/// A line in HAProxy's form: `[ALERT]    (123) : text`, with its line feed.
pub fn render_line(level: Level, pid: u32, text: &str) -> String {
    let label = format!("[{}]", level.label());
    format!("{label:LABEL_WIDTH$} ({pid}) : {text}\n")
}

/// HAProxy's one-line form, with its line feed; help and long messages continue on further lines.
pub fn render_haproxy(report: &Report, diagnostic: &Diagnostic, pid: u32) -> String {
    let source = report.sources.get(diagnostic.span.file as usize).filter(|_| diagnostic.span != Span::NONE);
    let mut text = match (report.stage, source) {
        (Stage::Load, None) => String::from("config : "),
        (Stage::Load, Some(source)) => {
            format!("config : parsing [{}:{}] : ", source.name, diagnostic.span.line)
        }
        (Stage::Start, None) => String::new(),
        (Stage::Start, Some(source)) => format!("Binding [{}:{}] for ", source.name, diagnostic.span.line),
    };
    let mut lines = diagnostic.message.lines();
    text.push_str(lines.next().unwrap_or_default());
    let ends = text.ends_with(['.', ':', '!', '?', '\'']) && !diagnostic.excerpt;
    if diagnostic.excerpt {
        text.push(':');
    } else if !ends {
        text.push('.');
    }
    for line in lines {
        text.push_str("\n   | ");
        text.push_str(line.trim_start_matches(['|', ' ']));
    }
    if diagnostic.excerpt
        && let Some(line) = line_of(report, diagnostic.span)
    {
        text.push_str(&excerpt(line, diagnostic.span.start as usize));
    }
    for line in diagnostic.help.iter().flat_map(|help| help.lines()) {
        text.push_str("\n   | ");
        text.push_str(line);
    }
    render_line(diagnostic.level, pid, &text)
}

/// The line and a caret below the place, cut so that the place is in view.
fn excerpt(line: &str, start: usize) -> String {
    let start = floor_boundary(line, start);
    let before: Vec<char> = line[..start].chars().collect();
    let skipped = before.len().saturating_sub(EXCERPT_WIDTH - 20);
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = line.chars().skip(skipped).take(EXCERPT_WIDTH).map(shown).collect();
    let text = text.trim_end();
    let lead = text.chars().take_while(|c| *c == ' ').count().min(before.len() - skipped);
    let column = before.len() - skipped - lead;
    format!("\n  {}\n  {:column$}^", &text[lead..], "")
}

/// The form with the source line underlined, without a line feed at the end.
pub fn render_rich(report: &Report, diagnostic: &Diagnostic, color: bool) -> String {
    let mut group = diagnostic
        .level
        .mark()
        .primary_title(diagnostic.message.as_str())
        .elements(std::iter::empty::<annotate_snippets::Element<'_>>());
    if let (Some(source), Some(line)) =
        (report.sources.get(diagnostic.span.file as usize), line_of(report, diagnostic.span))
    {
        let start = floor_boundary(line, diagnostic.span.start as usize);
        let end = floor_boundary(line, diagnostic.span.end as usize).max(start);
        group = group.element(
            Snippet::source(line)
                .line_start(diagnostic.span.line as usize)
                .path(source.name.as_str())
                .annotation(AnnotationKind::Primary.span(start..end)),
        );
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Mark::HELP.message(help.as_str()));
    }
    render_group(group, color)
}

fn render_group(group: Group<'_>, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

fn line_of(report: &Report, span: Span) -> Option<&str> {
    let source = report.sources.get(span.file as usize)?;
    let line = source.lines.get((span.line as usize).checked_sub(1)?)?;
    Some(line)
}

/// The last character boundary at or before `at`: spans count the file's bytes, and the text shown
/// may differ where those were not UTF-8.
fn floor_boundary(line: &str, at: usize) -> usize {
    let mut at = at.min(line.len());
    while !line.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl Report {
    /// Findings shown in `form`, in the order of discovery.
    pub fn shown(&self, form: Form) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(move |d| d.level != Level::Diag || form.diag)
    }

    /// Everything found, and at the end what it means for the start.
    pub fn render(&self, form: Form) -> String {
        let mut out = String::new();
        for diagnostic in self.shown(form) {
            if form.rich {
                out.push_str(&render_rich(self, diagnostic, form.color));
                out.push_str("\n\n");
            } else {
                out.push_str(&render_haproxy(self, diagnostic, form.pid));
            }
        }
        if self.has_alerts() {
            out.push_str(&self.closing(form));
        }
        out
    }

    /// The lines that say which files have errors.
    fn closing(&self, form: Form) -> String {
        let count = |level| self.diagnostics.iter().filter(|d| d.level == level).count();
        if form.rich {
            let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
            let what = match self.stage {
                Stage::Load => "Fatal errors found in configuration",
                Stage::Start => "The process does not start",
            };
            let title = format!(
                "{what}: {}, {}",
                plural(count(Level::Alert), "error"),
                plural(count(Level::Warning), "warning")
            );
            let group = Mark::ERROR
                .primary_title(title)
                .elements(std::iter::empty::<annotate_snippets::Element<'_>>());
            return render_group(group, form.color) + "\n";
        }
        if self.stage == Stage::Start {
            let text = "[haring.main()] Some protocols failed to start their listeners! Exiting.";
            let binding = self.diagnostics.iter().any(|d| d.level == Level::Alert && d.span != Span::NONE);
            return if binding { render_line(Level::Alert, form.pid, text) } else { String::new() };
        }
        let mut out = String::new();
        for (file, source) in self.sources.iter().enumerate() {
            let faulty = |d: &Diagnostic| d.level == Level::Alert && d.span.file as usize == file;
            if self.diagnostics.iter().any(faulty) {
                let text = format!("config : Error(s) found in configuration file : {}", source.name);
                out.push_str(&render_line(Level::Alert, form.pid, &text));
            }
        }
        out + &render_line(Level::Alert, form.pid, "config : Fatal errors found in configuration.")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    fn report() -> Report {
        Report {
            sources: vec![Source {
                name: "a.cfg".into(),
                lines: vec!["global".into(), "\tmaxcon \"4096".into(), "  d\u{e9}f".into()],
            }],
            ..Report::default()
        }
    }

    fn at(line: u32, start: u32, end: u32) -> Span {
        Span { file: 0, line, start, end }
    }

    #[test]
    fn haproxy_lines() {
        let mut report = report();
        report
            .alert(at(2, 1, 7), "unknown keyword 'maxcon' in 'global' section")
            .help("did you mean 'maxconn'?");
        report.warning(Span::NONE, "no place\nmore of it");
        report.alert(at(2, 8, 13), "unmatched quote at position 9").excerpt = true;
        let expected = [
            "[ALERT]    (7) : config : parsing [a.cfg:2] : unknown keyword 'maxcon' in 'global' section.\n   | did you mean 'maxconn'?\n",
            "[WARNING]  (7) : config : no place.\n   | more of it\n",
            "[ALERT]    (7) : config : parsing [a.cfg:2] : unmatched quote at position 9:\n  maxcon \"4096\n         ^\n",
        ];
        for (diagnostic, expected) in report.diagnostics.iter().zip(expected) {
            assert_eq!(render_haproxy(&report, diagnostic, 7), expected);
        }
        let all = report.render(Form { pid: 7, ..Form::default() });
        assert!(all.ends_with(
            "[ALERT]    (7) : config : Error(s) found in configuration file : a.cfg\n\
             [ALERT]    (7) : config : Fatal errors found in configuration.\n"
        ));
    }

    #[test]
    fn rich_underlines_the_bytes() {
        let mut report = report();
        report.alert(at(2, 1, 7), "unknown keyword").help("did you mean 'maxconn'?");
        report.warning(at(3, 2, 4), "inside a character");
        report.notice(at(9, 50, 60), "a line that is not there");
        report.alert(at(1, 6, 7), "past the end");
        let shown = |index: usize| render_rich(&report, &report.diagnostics[index], false);
        let first = shown(0);
        for part in ["error: unknown keyword", "--> a.cfg:2:2", "^^^^^^", "help: did you mean 'maxconn'?"] {
            assert!(first.contains(part), "{part} in\n{first}");
        }
        assert!(!first.contains('\x1b'));
        assert!(render_rich(&report, &report.diagnostics[0], true).contains('\x1b'));
        assert!(shown(1).starts_with("warning: inside"));
        assert!(shown(2).starts_with("note: a line"));
        assert!(shown(3).contains("a.cfg:1:7"), "{}", shown(3));
    }

    #[test]
    fn diag_shows_on_demand_and_findings_once() {
        let mut report = report();
        for _ in 0..1000 {
            report.push(Level::Diag, at(1, 0, 6), "suspicious");
            report.warning(at(1, 0, 6), "suspicious");
        }
        assert_eq!(report.diagnostics.len(), 2);
        assert!(!report.render(Form::default()).contains("DIAG"));
        assert!(report.render(Form { diag: true, ..Form::default() }).contains("[DIAG]     (0)"));
        assert!(!report.render(Form::default()).contains("Fatal"));
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let line = format!("\t{}\"x", "a".repeat(200));
        let shown = excerpt(&line, 201);
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[2].find('^').unwrap();
        assert_eq!(lines[1].as_bytes()[caret], b'"', "{shown}");
    }
}
