//! Reports for people and programs.

mod grid;
mod run;
mod table;

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::error::{BenchError, Result};

pub use run::run_text;
pub use table::comparison_text;

/// Writes `value` as JSON to a file, or to the standard output for `-`.
///
/// # Errors
/// When it cannot be written.
pub fn write_json(value: &impl Serialize, path: &Path) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| BenchError::Environment(format!("writing JSON: {error}")))?;
    text.push(b'\n');
    if path == Path::new("-") {
        return std::io::stdout()
            .write_all(&text)
            .map_err(BenchError::io("writing JSON"));
    }
    std::fs::write(path, text).map_err(BenchError::file("writing", path))
}

/// A figure with three significant digits; `-` if there is none.
fn figure(value: Option<f64>) -> String {
    let Some(value) = value else {
        return "-".into();
    };
    let magnitude = value.abs();
    match magnitude {
        _ if magnitude >= 99.95 => format!("{value:.0}"),
        _ if magnitude >= 9.995 => format!("{value:.1}"),
        _ if magnitude >= 0.995 => format!("{value:.2}"),
        _ if magnitude >= 0.0995 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_significant_digits() {
        let shown = |value| figure(Some(value));
        assert_eq!(shown(1234.5), "1234");
        assert_eq!(shown(99.96), "100");
        assert_eq!(shown(18.72), "18.7");
        assert_eq!(shown(9.001), "9.00");
        assert_eq!(shown(0.4444), "0.444");
        assert_eq!(shown(0.017), "0.0170");
        assert_eq!(figure(None), "-");
    }

    #[test]
    fn json_goes_to_the_file_named() {
        let path = std::env::temp_dir().join(format!("tidewire-bench-json-{}", std::process::id()));
        write_json(&[1, 2], &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text, "[\n  1,\n  2\n]\n");
        assert!(write_json(&1, Path::new("/nowhere/x.json")).is_err());
    }
}
