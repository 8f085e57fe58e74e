//! The language of the scenarios: reading the files.

use std::fs;
use std::path::Path;

/// A conversation with a claim for its title.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// `file::the_title`.
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) steps: Vec<Step>,
}

/// One line, with the indented lines below it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Line number in the file.
    pub(crate) at: usize,
    pub(crate) text: String,
    pub(crate) block: Vec<Step>,
}

/// All scenarios of a folder, in order of file and line.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Scenario>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "scenario"));
    paths.sort();
    let mut scenarios = Vec::new();
    for path in paths {
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        scenarios.extend(parse(&stem, &text)?);
    }
    Ok(scenarios)
}

/// The scenarios of one file. A line that begins with `#` starts one, unless it continues a title; `--` begins a comment.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Scenario>, String> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut in_title = false;
    for (index, line) in text.lines().enumerate() {
        let at = index + 1;
        let trimmed = line.trim();
        if let Some(title) = line.strip_prefix('#') {
            if !in_title {
                let name = format!("{file}::{}", slug(title));
                scenarios.push(Scenario {
                    name,
                    file: file.to_owned(),
                    steps: Vec::new(),
                });
            }
            in_title = true;
            continue;
        }
        in_title = false;
        if trimmed.is_empty() || trimmed.starts_with("--") {
            continue;
        }
        let step = Step {
            at,
            text: trimmed.to_owned(),
            block: Vec::new(),
        };
        let scenario = scenarios
            .last_mut()
            .ok_or_else(|| format!("{file}:{at}: a step without a title above it"))?;
        if line.starts_with(' ') {
            let last = scenario
                .steps
                .last_mut()
                .ok_or_else(|| format!("{file}:{at}: nothing to be below"))?;
            last.block.push(step);
        } else {
            scenario.steps.push(step);
        }
    }
    scenarios
        .iter_mut()
        .for_each(|scenario| scenario.steps = unrolled(std::mem::take(&mut scenario.steps)));
    Ok(scenarios)
}

/// The title as a name, without the statements that it cites.
fn slug(title: &str) -> String {
    let title = title.split('[').next().unwrap_or_default();
    let words: String = title
        .chars()
        .map(|c| {
            if c.is_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                ' '
            }
        })
        .collect();
    words.split_whitespace().collect::<Vec<_>>().join("_")
}

/// Writes `for n in 1..3` out: the block three times, with `{n}` replaced.
fn unrolled(steps: Vec<Step>) -> Vec<Step> {
    let mut all = Vec::new();
    for step in steps {
        let Some((name, from, to)) = range_of(&step.text) else {
            all.push(step);
            continue;
        };
        for n in from..=to {
            for inner in &step.block {
                let text = inner.text.replace(&format!("{{{name}}}"), &n.to_string());
                all.push(Step {
                    at: inner.at,
                    text,
                    block: Vec::new(),
                });
            }
        }
    }
    all
}

fn range_of(text: &str) -> Option<(&str, u32, u32)> {
    let (name, range) = text.strip_prefix("for ")?.split_once(" in ")?;
    let (from, to) = range.split_once("..")?;
    Some((name, from.parse().ok()?, to.parse().ok()?))
}
