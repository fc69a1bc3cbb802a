//! Prometheus' text format, <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write;

/// A text that is being written.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
    family: &'static str,
    /// The head of a family, held back until it has a sample.
    head: String,
}

/// What kind of numbers a family holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Exposition {
    /// Begins a family of samples.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = name;
        self.head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        self.sample_text(labels, &value.to_string());
    }

    pub(super) fn sample_text(&mut self, labels: &[(&str, &str)], value: &str) {
        self.line("", labels, value);
    }

    /// Writes a sample of a part of the family, such as `_sum`.
    pub(super) fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: &str) {
        self.text.push_str(&std::mem::take(&mut self.head));
        self.text.push_str(self.family);
        self.text.push_str(suffix);
        let mut separator = '{';
        for (name, label) in labels {
            let escaped = label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            // Writing to a String never fails.
            let _ = write!(self.text, "{separator}{name}=\"{escaped}\"");
            separator = ',';
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}
