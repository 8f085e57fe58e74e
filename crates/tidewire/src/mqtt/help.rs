//! Help, and what completions and man pages are made from.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

use super::flags::{FLAGS, Flag, Tool, Value};

const fn about(tool: Tool) -> &'static str {
    match tool {
        Tool::Pub => "Publish messages; the flags are those of mosquitto_pub",
        Tool::Sub => "Subscribe and print what comes; the flags are those of mosquitto_sub",
        Tool::Rr => "Publish a request and print the answer; the flags are those of mosquitto_rr",
    }
}

const FORMATS: &str = "
Formats (-F): %t topic, %p payload, %x %X payload in hexadecimal, %j %J JSON with the payload as text or as JSON, %l length,
  %q QoS, %r retain, %m packet identifier, %I time, %U seconds since 1970, %C content type, %D correlation data, %E message
  expiry interval, %F payload format indicator, %P user properties, %R response topic, %S subscription identifiers, %A topic
  alias, %% a percent sign; `-`, `0`, a width and .precision may stand between % and the letter. \\n \\t \\r \\a \\e \\v \\0 \\\\
";
const EXIT_CODES: &str = "
Exit codes:
  0    done
  1    wrong usage, no connection, or nothing delivered
  27   the time of -W is over
  else the server refused the connection: its return code (3.1, 3.1.1) or reason code (5.0)
";

/// `--help`.
pub(crate) fn text(tool: Tool) -> String {
    let mut text = format!(
        "{}\n\nUsage: tidewire {} [FLAGS]\n\nFlags:\n",
        about(tool),
        tool.name()
    );
    for flag in FLAGS.iter().filter(|flag| flag.is_of(tool)) {
        let mut left = match (flag.short, flag.is_long) {
            (Some(short), true) => format!("-{short}, --{}", flag.name),
            (Some(short), false) => format!("-{short}"),
            (None, _) => format!("    --{}", flag.name),
        };
        match flag.value {
            Value::None => {}
            Value::One(value) => left.push_str(&format!(" {value}")),
            Value::Property => left.push_str(" COMMAND NAME VALUE"),
        }
        let _ = writeln!(text, "  {left:<36} {}", flag.help);
    }
    if tool != Tool::Pub {
        text.push_str(FORMATS);
    }
    text.push_str(EXIT_CODES);
    text
}

/// The three commands as clap knows them: for the list of commands, for completions and man pages. They are never parsed
/// by it.
pub(crate) fn commands() -> [Command; 3] {
    [Tool::Pub, Tool::Sub, Tool::Rr].map(|tool| {
        Command::new(tool.name())
            .about(about(tool))
            .disable_help_flag(true)
            .disable_version_flag(true)
            .after_help(EXIT_CODES)
            .args(FLAGS.iter().filter(|flag| flag.is_of(tool)).map(argument))
    })
}

fn argument(flag: &'static Flag) -> Arg {
    let mut argument = Arg::new(flag.name).help(flag.help);
    if let Some(short) = flag.short {
        argument = argument.short(short);
    }
    if flag.is_long {
        argument = argument.long(flag.name);
    }
    match flag.value {
        Value::None => argument.action(ArgAction::SetTrue),
        Value::One(name) => argument.value_name(name).action(ArgAction::Append),
        Value::Property => argument
            .value_names(["COMMAND", "NAME", "VALUE"])
            .action(ArgAction::Append),
    }
}
