//! From results to what people look at: tables between the marks of docs/performance.md, and plots beside it.
//!
//! A compact copy of the results is kept with them (docs/figures.json), so that tables and plots can be drawn anew without
//! measuring anew.

mod compact;
mod numbers;
mod panel;
mod plots;
mod svg;
mod tables;
mod view;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::BenchError;
use crate::results::{FORMAT, Results};

const BEGIN: &str = "<!-- figures: begin (written by `make bench`) -->";
const END: &str = "<!-- figures: end -->";

/// What to render, and where to.
#[derive(Debug, Args)]
pub struct Render {
    /// The results.
    #[arg(long, default_value = "docs/figures.json")]
    json: PathBuf,
    /// Writes tables into performance.md, plots into plots/ and a compact copy of the results into figures.json under
    /// this folder; without it the tables are printed.
    #[arg(long)]
    docs: Option<PathBuf>,
}

/// Renders.
///
/// # Errors
/// When the results are of another form or of a run that was broken off, or a file cannot be read or written.
pub fn run(arguments: &Render) -> Result<(), BenchError> {
    let results = read(&arguments.json)?;
    let Some(docs) = &arguments.docs else {
        println!("{}", tables::markdown(&results, &[]));
        return Ok(());
    };
    if !results.finished {
        return Err(BenchError::Report("the run did not come to its end, so documents stay as they are".to_owned()));
    }
    let plots = plots::all(&results);
    write_into(&docs.join("performance.md"), &tables::markdown(&results, &plots))?;
    let folder = docs.join("plots");
    fs::create_dir_all(&folder)?;
    for (file, _, picture) in &plots {
        fs::write(folder.join(format!("{file}.svg")), picture)?;
    }
    fs::write(docs.join("figures.json"), compact::json(&results)?)?;
    Ok(())
}

fn read(path: &Path) -> Result<Results, BenchError> {
    let wrong = |what: String| BenchError::Report(format!("{}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let results: Results = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    match results.format {
        FORMAT => Ok(results),
        other => Err(wrong(format!("its form is {other}, this program reads {FORMAT}"))),
    }
}

/// Puts the tables into a document between its marks.
fn write_into(path: &Path, tables: &str) -> Result<(), BenchError> {
    let document = fs::read_to_string(path)?;
    let no_marks = || BenchError::Report(format!("{} has no marks for the figures", path.display()));
    let (before, rest) = document.split_once(BEGIN).ok_or_else(no_marks)?;
    let (_, after) = rest.split_once(END).ok_or_else(no_marks)?;
    fs::write(path, format!("{before}{BEGIN}\n\n{tables}\n{END}{after}"))?;
    Ok(())
}

#[cfg(test)]
mod tests;
