//! What scripts call the events.

use crate::handlers::foreign::closest;
use tidewire_handler::Event;

/// The name of the function that handles an event. The questions have the names of what they ask for, the others say when they
/// are called.
pub(super) fn function_name(event: Event) -> String {
    match event {
        Event::BeforeConnect
        | Event::Authenticate
        | Event::AuthenticationStep
        | Event::AuthorizePublish
        | Event::AuthorizeSubscribe => event.name().to_owned(),
        _ => format!("on_{}", event.name()),
    }
}

/// What a function that handles no event was probably meant to handle; `None` = it does not look like a handler.
pub(super) fn suspicious(name: &str) -> Option<String> {
    let names: Vec<String> = Event::ALL
        .iter()
        .map(|event| function_name(*event))
        .collect();
    if names.iter().any(|known| known == name) {
        return None;
    }
    let named = |known: &str| match known.strip_prefix("on_") {
        Some(rest) => rest == name,
        None => name.strip_prefix("on_") == Some(known),
    };
    if let Some(known) = names.iter().find(|known| named(known)) {
        return Some(format!("did you mean `{known}`?"));
    }
    let suggestion = closest(name, names.iter().map(String::as_str));
    match (suggestion, name.starts_with("on_")) {
        (Some(known), _) => Some(format!("did you mean `{known}`?")),
        (None, true) => Some(format!("the events are {}", names.join(", "))),
        (None, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::suspicious;

    #[test]
    fn a_misspelt_event_is_recognised_and_a_helper_is_left_alone() {
        for (name, meant) in [
            ("on_conect", "did you mean `on_connect`?"),
            ("on_pubish", "did you mean `on_publish`?"),
            ("authorise_publish", "did you mean `authorize_publish`?"),
            ("on_authenticate", "did you mean `authenticate`?"),
            ("publish", "did you mean `on_publish`?"),
            ("onDisconnected", "did you mean `on_disconnected`?"),
        ] {
            assert_eq!(suspicious(name).as_deref(), Some(meant), "{name}");
        }
        assert!(suspicious("on_full_moon").is_some_and(|says| says.starts_with("the events are ")));
        for name in [
            "on_publish",
            "authenticate",
            "split",
            "is_number",
            "topic_of",
        ] {
            assert_eq!(suspicious(name), None, "{name}");
        }
    }
}
