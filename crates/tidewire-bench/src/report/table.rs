//! A comparison as text: ratios first, then what they are made of.

use std::fmt::Write;

use super::figure;
use super::grid::Grid;
use crate::compare::{Column, Figure, Report, Row};
use crate::scenario::Plan;

/// The whole report of a comparison.
#[must_use]
pub fn comparison_text(report: &Report) -> String {
    let mut text = format!("{}\n", report.machine);
    let labels: Vec<&str> = report
        .peers
        .iter()
        .map(|peer| peer.label.as_str())
        .collect();
    let _infallible = writeln!(
        text,
        "{}; {} rounds in turns, {} s each; medians; ratios are medians of the rounds' ratios\n",
        labels.join(", "),
        report.rounds,
        report.timed_secs,
    );
    push_section(
        &mut text,
        "Broker CPU per unit, in microseconds",
        &cpu(report),
    );
    push_section(
        &mut text,
        "Memory per idle connection, in bytes",
        &memory(report),
    );
    push_section(
        &mut text,
        "Latency from the intended send time, in microseconds",
        &latency(report),
    );
    push_section(&mut text, "Details", &details(report));
    push_failures(&mut text, report);
    text
}

fn push_section(text: &mut String, title: &str, grid: &Grid) {
    if !grid.is_empty() {
        let _infallible = write!(text, "{title}\n\n{}\n", grid.text());
    }
}

fn cpu(report: &Report) -> Grid {
    let mut grid = Grid::new(compared_head(report, &["CPU"]));
    for row in report.rows.iter().filter(|row| !is_idle(row)) {
        grid.line(compared_line(row, &[Figure::CpuUs]));
    }
    grid
}

fn memory(report: &Report) -> Grid {
    let mut grid = Grid::new(compared_head(report, &["rss", "pss", "anonymous"]));
    for row in report.rows.iter().filter(|row| is_idle(row)) {
        grid.line(compared_line(
            row,
            &[Figure::RssBytes, Figure::PssBytes, Figure::AnonymousBytes],
        ));
    }
    grid
}

fn latency(report: &Report) -> Grid {
    let mut grid = Grid::new(compared_head(report, &["p50", "p99"]));
    let timed = |row: &&Row| {
        row.columns
            .iter()
            .any(|column| column.median(Figure::P50Us).is_some())
    };
    for row in report.rows.iter().filter(timed) {
        grid.line(compared_line(row, &[Figure::P50Us, Figure::P99Us]));
    }
    grid
}

/// Each figure of each broker, then its ratio to each other broker, then the verdict.
fn compared_head(report: &Report, figures: &[&str]) -> Vec<String> {
    let mut head = vec!["scenario".to_owned()];
    let several = figures.len() > 1;
    let named = |label: String, figure: &str| {
        if several {
            format!("{label} {figure}")
        } else {
            label
        }
    };
    for peer in &report.peers {
        head.extend(
            figures
                .iter()
                .map(|figure| named(peer.label.clone(), figure)),
        );
    }
    for other in report.peers.iter().skip(1) {
        let ratio = format!("to {}", other.label);
        head.extend(figures.iter().map(|figure| named(ratio.clone(), figure)));
    }
    head.push("verdict".to_owned());
    head
}

fn compared_line(row: &Row, figures: &[Figure]) -> Vec<String> {
    let mut line = vec![row.scenario.name.clone()];
    for column in &row.columns {
        line.extend(figures.iter().map(|f| figure(column.median(*f))));
    }
    for other in 1..row.columns.len() {
        line.extend(figures.iter().map(|f| figure(row.ratio(other, *f))));
    }
    let mut verdicts: Vec<String> = row.columns.iter().map(verdict).collect();
    verdicts.dedup();
    line.push(verdicts.join(" / "));
    line
}

fn details(report: &Report) -> Grid {
    let head = [
        "scenario",
        "broker",
        "CPU us",
        "user us",
        "generator us",
        "syscalls",
        "memory KiB",
        "units a run",
        "units/s",
        "verdict",
    ];
    let mut grid = Grid::new(head.map(String::from).to_vec());
    for row in &report.rows {
        for (peer, column) in report.peers.iter().zip(&row.columns) {
            if column.not_applicable {
                continue;
            }
            grid.line(vec![
                row.scenario.name.clone(),
                peer.label.clone(),
                figure(column.median(Figure::CpuUs)),
                figure(column.median(Figure::UserUs)),
                figure(column.median(Figure::GeneratorUs)),
                figure(column.syscalls),
                figure(column.median(Figure::GrownKib)),
                column
                    .runs
                    .last()
                    .map_or_else(|| "-".into(), |run| run.units.to_string()),
                figure(
                    column
                        .runs
                        .last()
                        .map(|run| run.units as f64 / run.wall_secs),
                ),
                verdict(column),
            ]);
        }
    }
    grid
}

fn push_failures(text: &mut String, report: &Report) {
    for row in &report.rows {
        for (peer, column) in report.peers.iter().zip(&row.columns) {
            for failure in &column.failures {
                let _infallible =
                    writeln!(text, "{}, {}: {failure}", row.scenario.name, peer.label);
            }
        }
    }
}

/// `clean`, `void` with the worst round's faults, `failed`, or `n/a`.
fn verdict(column: &Column) -> String {
    if column.not_applicable {
        return "n/a".into();
    }
    if !column.failures.is_empty() {
        return "failed".into();
    }
    match column.runs.iter().find(|run| !run.is_valid()) {
        None => "clean".into(),
        Some(void) if void.units == 0 && void.faults.is_clean() => "void: nothing delivered".into(),
        Some(void) => format!("void: {}", void.faults),
    }
}

fn is_idle(row: &Row) -> bool {
    matches!(row.scenario.plan, Plan::Idle { .. })
}
