//! `llm-router check`.

use std::io::Write;
use std::process::ExitCode;

use llm_router::{Alias, ConfigFile, ConfigFileError, Finding, FromFileError, Problem, Severity};
use router_gateway::Serving;
use serde::Serialize;

use crate::cli::{CheckArgs, Format};

/// A finding, or a problem of the file, as one line of the report.
#[derive(Debug, Serialize)]
struct Line {
    severity: Severity,
    rule: &'static str,
    /// The pool, or the place in the file.
    at: String,
    message: String,
}

impl From<Finding> for Line {
    fn from(finding: Finding) -> Self {
        let Finding { severity, rule, pool, message } = finding;
        Self { severity, rule, at: pool.as_ref().map(Alias::to_string).unwrap_or_default(), message }
    }
}

impl Line {
    fn of_problem(severity: Severity, rule: &'static str, problem: &Problem) -> Self {
        let place = problem.location.as_ref().map(ToString::to_string);
        let parts = [place.as_deref(), Some(problem.path.as_str())];
        let at: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        Self { severity, rule, at: at.join(": "), message: problem.message.clone() }
    }
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let lines = match ConfigFile::read(&args.config) {
        Err(error @ ConfigFileError::Unreadable(_)) => return Err(error.into()),
        Err(ConfigFileError::Wrong(problems)) => errors(&problems),
        Ok(file) => {
            let ignored = file.ignored().iter();
            let ignored: Vec<Line> =
                ignored.map(|problem| Line::of_problem(Severity::Warning, "ignored-key", problem)).collect();
            let found = match Serving::from_file(file, [], None) {
                Ok(serving) => {
                    let catalog = serving.router().fleet().catalog();
                    llm_router::check(catalog).into_iter().map(Line::from).collect()
                }
                Err(FromFileError::Build(error)) => errors(&error.0),
                Err(FromFileError::File(ConfigFileError::Wrong(problems))) => errors(&problems),
                Err(FromFileError::File(error)) => return Err(error.into()),
            };
            ignored.into_iter().chain(found).collect()
        }
    };
    show(&lines, args.format)?;
    let failed = lines.iter().any(|line| line.severity == Severity::Error);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn errors(problems: &[Problem]) -> Vec<Line> {
    problems.iter().map(|problem| Line::of_problem(Severity::Error, "wrong-config", problem)).collect()
}

fn show(lines: &[Line], format: Format) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, lines)?;
            writeln!(out)?;
        }
        Format::Text => {
            for Line { severity, rule, at, message } in lines {
                writeln!(out, "{severity}: {at}: {message} [{rule}]")?;
            }
            let count = |severity| lines.iter().filter(|line| line.severity == severity).count();
            let (errors, warnings, infos) =
                (count(Severity::Error), count(Severity::Warning), count(Severity::Info));
            writeln!(out, "{errors} errors, {warnings} warnings, {infos} to know")?;
        }
    }
    Ok(out.flush()?)
}
