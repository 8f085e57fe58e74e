//! The file of default flags that mosquitto's programs read: `~/.config/mosquitto_sub` and so on.

use std::path::PathBuf;

use super::Failure;
use super::flags::{self, Given, Tool};

/// The flags in the tool's file; none if there is no file.
pub(crate) fn read(tool: Tool) -> Result<Vec<Given>, Failure> {
    let Some(text) = path(tool).and_then(|path| std::fs::read_to_string(path).ok()) else {
        return Ok(Vec::new());
    };
    flags::parse(tool, arguments(&text))
}

fn path(tool: Tool) -> Option<PathBuf> {
    let name = format!("mosquitto_{}", tool.name());
    let folder = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let folder =
        folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
    Some(folder.join(name))
}

/// One flag a line, with its value behind the first space.
fn arguments(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .flat_map(|line| {
            let (flag, value) = line
                .split_once(' ')
                .map_or((line, None), |(f, v)| (f, Some(v)));
            std::iter::once(flag).chain(value.map(str::trim))
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_flags_and_values() {
        let found: Vec<String> =
            arguments("# mine\n-h broker\n\n--will-payload two words\n-d\n").collect();
        assert_eq!(found, ["-h", "broker", "--will-payload", "two words", "-d"]);
    }
}
