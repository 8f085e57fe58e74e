//! Events as the core knows them: what it has to ask or tell so that they can be raised.

use tidewire_core::Watch;
use tidewire_handler::{Event, EventKind, Events, Snapshot};

/// What handlers are told, and need not be asked.
pub(crate) const OBSERVED: Events = observed();

/// What the core has to watch for so that the events are raised. Those that are not here are the shell's own, or raised
/// in any case.
const MATTERS: &[(Event, Watch)] = &[
    (Event::Connect, Watch::CONNECT),
    (Event::Authenticate, Watch::CONNECT),
    (Event::AuthenticationStep, Watch::CONNECT),
    (Event::AuthorizePublish, Watch::PUBLISH),
    (Event::Publish, Watch::PUBLISH),
    (Event::AuthorizeSubscribe, Watch::SUBSCRIBE),
    (Event::Subscribe, Watch::SUBSCRIBE),
    (Event::Unsubscribe, Watch::UNSUBSCRIBE),
    (Event::Deliver, Watch::DELIVER),
    (Event::Published, Watch::PUBLISHED),
    (Event::Subscribed, Watch::SUBSCRIPTIONS),
    (Event::Unsubscribed, Watch::SUBSCRIPTIONS),
    (Event::Acknowledged, Watch::ACKNOWLEDGED),
    (Event::Dropped, Watch::DROPPED),
    (Event::Pinged, Watch::PINGED),
    (Event::WillArmed, Watch::WILL_ARMED),
    (Event::RetainedChanged, Watch::RETAINED),
];

/// What a listener's handlers want.
pub(crate) fn watch(snapshot: &Snapshot, listener: u16) -> Watch {
    let events = snapshot.events(Some(listener));
    let wanted = MATTERS.iter().filter(|(event, _)| events.contains(*event));
    wanted.fold(Watch::NONE, |all, (_, watch)| all | *watch)
}

const fn observed() -> Events {
    let mut events = Events::NONE;
    let mut at = 0;
    while at < Event::ALL.len() {
        if matches!(Event::ALL[at].kind(), EventKind::Observe) {
            events = events.with(Event::ALL[at]);
        }
        at += 1;
    }
    events
}

#[cfg(test)]
mod tests {
    use super::{MATTERS, OBSERVED};
    use tidewire_handler::{Event, EventKind};

    #[test]
    fn every_deciding_event_but_the_shells_own_is_watched_for() {
        for event in Event::ALL
            .iter()
            .filter(|event| event.kind() == EventKind::Decide)
        {
            let watched = MATTERS.iter().any(|(matter, _)| matter == event);
            assert_eq!(watched, *event != Event::BeforeConnect, "{}", event.name());
            assert!(!OBSERVED.contains(*event));
        }
    }
}
