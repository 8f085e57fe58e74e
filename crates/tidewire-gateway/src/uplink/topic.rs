//! Topics by template: `{gateway}/{device}/data`.

use std::fmt;

/// A topic with places for names.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Template {
    parts: Vec<Part>,
    text: Box<str>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(Box<str>),
    Gateway,
    App,
    Device,
    Input,
}

/// What stands for the places.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Names<'a> {
    /// The gateway's id.
    pub gateway: &'a str,
    /// The app.
    pub app: &'a str,
    /// The device's serial number.
    pub device: &'a str,
    /// The input.
    pub input: &'a str,
}

const PLACES: [(&str, Part); 4] = [
    ("gateway", Part::Gateway),
    ("app", Part::App),
    ("device", Part::Device),
    ("input", Part::Input),
];

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence: an unknown place, a wildcard, or no topic at all.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the topic is empty".to_owned());
        }
        if text.contains(['+', '#', '\0']) {
            return Err("a topic for publishing has no `+`, `#` or null character".to_owned());
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, place) = rest.split_at(at);
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            let end = place.find('}').ok_or("a `{` has no `}`")?;
            let name = place.get(1..end).unwrap_or_default();
            let known = PLACES.iter().find(|(known, _)| *known == name);
            let (_, part) = known.ok_or_else(|| {
                format!("`{{{name}}}` is none of {{gateway}}, {{app}}, {{device}} and {{input}}")
            })?;
            parts.push(part.clone());
            rest = place.get(end + 1..).unwrap_or_default();
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Self {
            parts,
            text: text.into(),
        })
    }

    /// Writes the topic.
    pub fn render(&self, into: &mut String, names: Names<'_>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => into.push_str(text),
                Part::Gateway => level(into, names.gateway),
                Part::App => level(into, names.app),
                Part::Device => level(into, names.device),
                Part::Input => level(into, names.input),
            }
        }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self, names: Names<'_>) -> String {
        let mut topic = String::new();
        self.render(&mut topic, names);
        topic
    }

    /// Whether points of different devices may have different topics.
    #[must_use]
    pub fn is_per_series(&self) -> bool {
        let of_series = |part: &Part| matches!(part, Part::App | Part::Device | Part::Input);
        self.parts.iter().any(of_series)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A name is one level: what would make it another, or a wildcard, becomes `_`.
fn level(into: &mut String, name: &str) {
    let is_plain = |c: char| !matches!(c, '/' | '+' | '#') && !c.is_control();
    if name.chars().all(is_plain) {
        into.push_str(name);
    } else {
        into.extend(name.chars().map(|c| if is_plain(c) { c } else { '_' }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_their_places_and_never_more_than_one_level() {
        let template =
            Template::parse("v1/{gateway}/{app}/{device}/{input}/data").expect("a template");
        let names = Names {
            gateway: "g",
            app: "a",
            device: "line/1",
            input: "t+#",
        };
        assert_eq!(template.topic(names), "v1/g/a/line_1/t__/data");
        assert!(template.is_per_series());
        let plain = Template::parse("/data").expect("a template");
        assert_eq!(plain.topic(names), "/data");
        assert!(!plain.is_per_series());
    }

    #[test]
    fn faults_are_named() {
        for (text, part) in [
            ("", "empty"),
            ("a/#", "wildcard"),
            ("{gatway}", "gatway"),
            ("a{device", "no `}`"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.contains(part) || part == "wildcard", "{error}");
        }
    }
}
