//! The statistics of a model in one of their forms, made part by part as the reader takes them: ten thousand
//! servers are a hundred megabytes of JSON, of which one part is in memory at a time.

use std::rc::Rc;

use super::html::Page;
use super::info::Source;
use super::rows::{Filter, Step, Walk};
use super::subject::{Shared, View};
use super::{Parts, csv, json, typed};

/// The most steps of the walk that one part takes: objects that have nothing to say take their time as well.
const STEPS_MAX: usize = 1024;

/// The forms.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Form {
    Csv,
    /// With `describe`, each line ends with the column's meaning.
    Typed {
        describe: bool,
    },
    Json,
    Html(Page),
}

/// Statistics under way.
#[derive(Debug)]
pub struct Dump {
    /// Show addresses, cookies and algorithms; see [`View::legends`].
    pub legends: bool,
    form: Form,
    filter: Filter,
    walk: Walk,
    shared: Option<Rc<Shared>>,
    /// Nothing was written yet: of the whole, and of the list of objects.
    is_first: (bool, bool),
}

impl Dump {
    /// Statistics of what `filter` wants.
    pub fn new(form: Form, filter: Filter) -> Dump {
        Dump { legends: false, form, filter, walk: Walk::default(), shared: None, is_first: (true, true) }
    }

    fn begin(&mut self, source: &Source<'_>, out: &mut Vec<u8>) {
        match &self.form {
            Form::Csv => csv::header(out),
            Form::Typed { .. } => {}
            Form::Json => out.push(b'['),
            Form::Html(page) => page.begin(source, out),
        }
    }

    fn end(&self, out: &mut Vec<u8>) {
        match &self.form {
            Form::Csv | Form::Typed { .. } => {}
            Form::Json => out.extend_from_slice(b"]\n"),
            Form::Html(page) => page.end(out),
        }
    }
}

impl Parts for Dump {
    fn fill(&mut self, source: &Source<'_>, out: &mut Vec<u8>, bytes_max: usize) -> bool {
        if std::mem::take(&mut self.is_first.0) {
            self.begin(source, out);
        }
        let shared = self.shared.get_or_insert_with(|| Shared::of(source.model, source.info.maxconn)).clone();
        let started_s = source.info.started.wall_us / 1_000_000;
        let mut view = View::new(source.model, source.now, started_s, source.info.maxconn, shared);
        view.legends = self.legends;
        view.count_servers = self.filter.hide_down || self.filter.hide_maintenance;
        for _ in 0..STEPS_MAX {
            if out.len() >= bytes_max {
                return true;
            }
            let (form, is_first) = (&mut self.form, &mut self.is_first.1);
            let more = self.walk.step(&view, &self.filter, |step| match (form, step) {
                (Form::Csv, Step::Object(subject)) => csv::line(subject, out),
                (Form::Typed { describe }, Step::Object(subject)) => typed::lines(subject, *describe, out),
                (Form::Json, Step::Object(subject)) => {
                    if !std::mem::take(is_first) {
                        out.push(b',');
                    }
                    json::object(subject, out);
                }
                (Form::Html(page), step) => page.step(step, out),
                (_, Step::Begin(_) | Step::End(_)) => {}
            });
            if !more {
                self.end(out);
                return false;
            }
        }
        true
    }
}

/// The whole of an answer, for tests.
#[cfg(test)]
pub fn whole(parts: &mut dyn Parts, source: &Source<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let bytes_max = out.len() + 1000;
        if !parts.fill(source, &mut out, bytes_max) {
            return out;
        }
    }
}
