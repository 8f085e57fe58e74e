//! `tidewire explain`: may a client do something, and which rule decides?

use crate::check::mistakes;
use crate::cli::{Explain, WishFlag};
use crate::config::Config;
use crate::control::client::Outcome;
use crate::exit::{Failure, Status};
use crate::serve::rules::Rules;
use serde_json::json;
use tidewire_broker::handlers::{Access, Verdict, Wish};
use tidewire_codec::{Qos, topic};

/// A decision and why.
struct Explanation {
    allowed: bool,
    /// `rules.toml:12`, if a rule decided.
    rule: Option<String>,
    why: String,
}

/// Runs the command.
pub(crate) fn run(explain: &Explain) -> Result<Outcome, Failure> {
    let config =
        Config::load(&explain.config).map_err(|found| mistakes(&explain.config, &found))?;
    let rules = Rules::load(&config)?;
    let filter = checked(explain)?;
    let explanation = decide(&config, rules.as_ref(), explain, filter)?;
    Ok(shown(&explanation, explain.json))
}

/// The topic or filter of the question, without `$share/NAME/`.
fn checked(explain: &Explain) -> Result<&str, Failure> {
    let wrong = |kind: &str, error: String| {
        Failure::new(
            Status::Usage,
            format!("`{}` is no topic {kind}: {error}", explain.topic),
        )
    };
    match explain.wish {
        WishFlag::Publish => topic::validate_name(explain.topic.as_bytes())
            .map_err(|error| wrong("name", error.to_string())),
        WishFlag::Subscribe => {
            let shared = explain.topic.strip_prefix("$share/");
            let filter = match shared {
                Some(rest) => {
                    let (_, filter) = rest
                        .split_once('/')
                        .ok_or_else(|| wrong("filter", "write $share/NAME/FILTER".to_owned()))?;
                    filter
                }
                None => &explain.topic,
            };
            topic::validate_filter(filter).map_err(|error| wrong("filter", error.to_string()))?;
            Ok(filter)
        }
    }
}

fn decide(
    config: &Config,
    rules: Option<&Rules>,
    explain: &Explain,
    filter: &str,
) -> Result<Explanation, Failure> {
    let mut listeners = config.listeners.iter();
    let listener = match &explain.listener {
        Some(name) => listeners.find(|listener| listener.name == *name),
        None => listeners.next(),
    };
    let listener = listener.ok_or_else(|| {
        let names: Vec<_> = config
            .listeners
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let message = format!(
            "there is no listener of that name\n  help: choose one of {}",
            names.join(", ")
        );
        Failure::new(Status::Usage, message)
    })?;
    if explain.wish == WishFlag::Publish && filter.starts_with('$') {
        return Ok(Explanation {
            allowed: false,
            rule: None,
            why: "topics that begin with $ are the broker's own".to_owned(),
        });
    }
    let Some(rules) = rules.filter(|_| listener.authorize) else {
        let why = if listener.authorize {
            "there are no access rules: [acl] names none"
        } else {
            "the access rules do not apply to this listener: `authorize = false`"
        };
        return Ok(Explanation {
            allowed: true,
            rule: None,
            why: why.to_owned(),
        });
    };
    let qos = Qos::try_from(explain.qos).unwrap_or(Qos::AtMostOnce);
    let access = Access {
        user: explain.user.as_deref(),
        client_id: &explain.client,
        address: explain.address,
        listener: &listener.name,
        wish: match explain.wish {
            WishFlag::Publish => Wish::Publish {
                topic: filter,
                qos,
                retain: explain.retain,
            },
            WishFlag::Subscribe => Wish::Subscribe { filter, qos },
        },
    };
    Ok(by_rule(rules, rules.judge(&access)))
}

fn by_rule(rules: &Rules, verdict: Verdict) -> Explanation {
    let (allowed, line) = match verdict {
        Verdict::Allowed { line } => (true, Some(line)),
        Verdict::Denied { line } => (false, line),
    };
    let rule = line.map(|line| rules.name(line));
    let why = match (&rule, allowed) {
        (Some(rule), true) => format!("{rule} allows it"),
        (Some(rule), false) => format!("{rule} denies it"),
        (None, _) => format!("no rule of {} allows it", rules.source()),
    };
    Explanation { allowed, rule, why }
}

fn shown(explanation: &Explanation, json: bool) -> Outcome {
    let Explanation { allowed, rule, why } = explanation;
    let word = if *allowed { "allowed" } else { "denied" };
    let text = if json {
        format!(
            "{}\n",
            json!({ "allowed": allowed, "rule": rule, "why": why })
        )
    } else if *allowed {
        format!("{word}: {why}\n")
    } else {
        String::new()
    };
    let failure = Failure::new(Status::Denied, format!("{word}: {why}"));
    Outcome {
        text,
        failure: (!allowed).then_some(failure),
    }
}
