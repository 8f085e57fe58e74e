//! The events: one table that gives their names, the trait that handles them and the way from a question to its method.

use crate::asked::{
    Ask, Authenticate, Authentication, AuthenticationStep, AuthorizePublish, AuthorizeSubscribe,
    BeforeConnect, Codes, Deliver, Delivery, Publication,
};
use crate::client::Client;
use crate::decide::Decide;
use crate::told::{
    Acknowledged, Connected, Disconnected, Dropped, ListenerChange, Pinged, Published, Refused,
    RetainedChanged, ServerChange, SessionEnded, Subscribed, Told, Unsubscribed, WillArmed,
    WillPublished, WillRefused, WorkerChange,
};
use tidewire_codec::{Connect, Properties, Publish, Subscribe, Unsubscribe};

macro_rules! events {
    (
        decide { $( $(#[$decide_doc:meta])* $decide:ident / $Decide:ident : $ask:ty => $answer:ty; )* }
        observe { $( $(#[$observe_doc:meta])* $observe:ident / $Observe:ident : $told:ty; )* }
    ) => {
        /// What a handler can handle. The names are those of the methods of [`Handler`].
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Event {
            $( $(#[$decide_doc])* $Decide, )*
            $( $(#[$observe_doc])* $Observe, )*
        }

        impl Event {
            /// All events, the deciding ones first.
            pub const ALL: &'static [Event] = &[$( Event::$Decide, )* $( Event::$Observe, )*];

            /// The name, which is the method's.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( Event::$Decide => stringify!($decide), )*
                    $( Event::$Observe => stringify!($observe), )*
                }
            }

            /// Whether handlers decide about it, or are told after the fact.
            #[must_use]
            pub const fn kind(self) -> EventKind {
                match self {
                    $( Event::$Decide => EventKind::Decide, )*
                    $( Event::$Observe => EventKind::Observe, )*
                }
            }
        }

        /// What extends a broker. Every event has a method, and every method a default, so an implementation has those
        /// alone that it cares about.
        ///
        /// Write it inside [`handler!`](crate::handler!), which lists in [`events`](Self::events) exactly the methods that are
        /// there; only listed events are raised. One value serves all connections and all workers at once.
        pub trait Handler: Send + Sync + 'static {
            /// The events that this handler handles.
            fn events(&self) -> Events;
            $(
                $(#[$decide_doc])*
                fn $decide(&self, client: &Client, ask: &$ask) -> Decide<$answer> {
                    let _ = (client, ask);
                    Decide::go_on()
                }
            )*
            $(
                $(#[$observe_doc])*
                fn $observe(&self, told: &$told) {
                    let _ = told;
                }
            )*
        }

        /// The events by their methods' names, for [`handler!`](crate::handler!).
        #[doc(hidden)]
        #[allow(non_upper_case_globals, reason = "they stand for the methods of these names")]
        pub mod by_method {
            use super::Event;
            $( pub const $decide: Event = Event::$Decide; )*
            $( pub const $observe: Event = Event::$Observe; )*
        }

        $(
            impl crate::asked::Put for $ask {
                const EVENT: Event = Event::$Decide;
                type Answer = $answer;
                fn put(&self, handler: &dyn Handler, client: &Client) -> Decide<$answer> {
                    handler.$decide(client, self)
                }
            }
        )*

        /// Something that happened.
        #[derive(Clone, Debug)]
        pub enum Notice {
            $( $(#[$observe_doc])* $Observe($told), )*
        }

        impl Notice {
            /// Which event it is.
            #[must_use]
            pub const fn event(&self) -> Event {
                match self {
                    $( Notice::$Observe(_) => Event::$Observe, )*
                }
            }

            /// The listener that it belongs to, by index; `None` = all.
            #[must_use]
            pub fn listener(&self) -> Option<u16> {
                match self {
                    $( Notice::$Observe(told) => told.listener(), )*
                }
            }

            pub(crate) fn tell(&self, handler: &dyn Handler) {
                match self {
                    $( Notice::$Observe(told) => handler.$observe(told), )*
                }
            }
        }
    };
}

events! {
    decide {
        /// A transport is open and nothing has been read from it.
        before_connect / BeforeConnect: BeforeConnect => ();
        /// A CONNECT came. An answer's properties are added to CONNACK.
        connect / Connect: Connect<'_> => Properties<'static>;
        /// Who is this client, and may it come in? Where this is handled and nobody answers, the client is refused.
        authenticate / Authenticate: Authenticate<'_> => Authentication;
        /// A further message of an enhanced authentication, at CONNECT time or later \[5.0 4.12\].
        authentication_step / AuthenticationStep: AuthenticationStep<'_> => Authentication;
        /// May the client publish this? Where nobody answers, it may.
        authorize_publish / AuthorizePublish: AuthorizePublish<'_> => ();
        /// May the client subscribe to this filter? Where nobody answers, it may.
        authorize_subscribe / AuthorizeSubscribe: AuthorizeSubscribe<'_> => ();
        /// A client's message, wills included, that may be published. An answer replaces it, and later handlers see the
        /// replacement; or it ends its way, and the client is answered. What the server publishes is not asked about.
        publish / Publish: Publish<'_> => Publication;
        /// A SUBSCRIBE, its filters allowed or not. An answer's reason codes, one for each filter, replace the broker's.
        subscribe / Subscribe: Subscribe<'_> => Codes;
        /// An UNSUBSCRIBE. An answer's reason codes, one for each filter, replace the broker's; a filter with an error stays.
        unsubscribe / Unsubscribe: Unsubscribe<'_> => Codes;
        /// A message is about to leave for one receiver: it may be edited or held back.
        deliver / Deliver: Deliver<'_> => Delivery;
    }
    observe {
        /// A client is connected to its session, a new one or one that goes on.
        connected / Connected: Connected;
        /// A client was refused.
        refused / Refused: Refused;
        /// A connected client has gone.
        disconnected / Disconnected: Disconnected;
        /// A session ended.
        session_ended / SessionEnded: SessionEnded;
        /// A client has a new subscription.
        subscribed / Subscribed: Subscribed;
        /// A client gave a subscription up.
        unsubscribed / Unsubscribed: Unsubscribed;
        /// A message was published: by a client, as a will, or by the server.
        published / Published: Published;
        /// A receiver acknowledged a message.
        acknowledged / Acknowledged: Acknowledged;
        /// A message was dropped.
        dropped / Dropped: Dropped;
        /// A client sent PINGREQ.
        pinged / Pinged: Pinged;
        /// A client left a will with the broker.
        will_armed / WillArmed: WillArmed;
        /// A will was published.
        will_published / WillPublished: WillPublished;
        /// A will could not be published.
        will_refused / WillRefused: WillRefused;
        /// A topic's retained message was set or cleared.
        retained_changed / RetainedChanged: RetainedChanged;
        /// A listener is open.
        listener_started / ListenerStarted: ListenerChange;
        /// A listener has closed.
        listener_stopped / ListenerStopped: ListenerChange;
        /// A worker has started.
        worker_started / WorkerStarted: WorkerChange;
        /// A worker has ended.
        worker_exited / WorkerExited: WorkerChange;
        /// Clients can connect.
        server_ready / ServerReady: ServerChange;
        /// The broker begins to stop.
        server_stopping / ServerStopping: ServerChange;
    }
}

/// The two kinds of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// Handlers are asked, one after the other, and what happens depends on them.
    Decide,
    /// Handlers are told after the fact, through a bounded queue; they hold nothing up.
    Observe,
}

/// A set of events.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Events(u32);

impl Events {
    /// None.
    pub const NONE: Self = Self(0);

    /// The set with this event in it.
    #[must_use]
    pub const fn with(self, event: Event) -> Self {
        Self(self.0 | 1 << event as u8)
    }

    /// What is in either set.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the event is in it.
    #[inline]
    #[must_use]
    pub const fn contains(self, event: Event) -> bool {
        self.0 & (1 << event as u8) != 0
    }

    /// Whether it has no event.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The events, in the order of [`Event::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Event> {
        Event::ALL
            .iter()
            .copied()
            .filter(move |event| self.contains(*event))
    }
}

impl FromIterator<Event> for Events {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        events.into_iter().fold(Self::NONE, Self::with)
    }
}

const _: () = assert!(Event::ALL.len() <= 32, "a set of events is 32 bits");
const _: fn() = || {
    // The two halves of a question belong together.
    fn asks<A: Ask>() {}
    asks::<Authenticate<'static>>();
};

/// Writes an implementation of [`Handler`](crate::Handler) together with the list of events that it handles, so that none is
/// forgotten. A method that the trait does not have, a misspelt one for instance, does not compile.
///
/// ```
/// use tidewire_handler::{AuthorizePublish, Client, Decide, handler};
///
/// struct NoAlarms;
///
/// handler! {
///     impl Handler for NoAlarms {
///         fn authorize_publish(&self, _: &Client, ask: &AuthorizePublish<'_>) -> Decide<()> {
///             if ask.topic.starts_with("alarm/") {
///                 Decide::deny("alarms come from the plant alone")
///             } else {
///                 Decide::go_on()
///             }
///         }
///     }
/// }
/// ```
///
/// ```compile_fail
/// # use tidewire_handler::{Connected, handler};
/// # struct Greeter;
/// handler! {
///     impl Handler for Greeter {
///         fn conected(&self, told: &Connected) {}
///     }
/// }
/// ```
#[macro_export]
macro_rules! handler {
    (
        impl Handler for $handler:ty {
            $( $(#[$meta:meta])* fn $method:ident ( $($arguments:tt)* ) $(-> $result:ty)? $body:block )*
        }
    ) => {
        impl $crate::Handler for $handler {
            fn events(&self) -> $crate::Events {
                $crate::Events::NONE $( .with($crate::by_method::$method) )*
            }
            $( $(#[$meta])* fn $method($($arguments)*) $(-> $result)? $body )*
        }
    };
}

#[cfg(test)]
mod tests {
    use super::{Event, EventKind, Events};

    #[test]
    fn a_set_has_what_was_put_into_it_and_nothing_else() {
        for &event in Event::ALL {
            let set = Events::NONE.with(event);
            assert_eq!(set.iter().collect::<Vec<_>>(), [event], "{}", event.name());
            assert!(set.without(set).is_empty());
        }
        let all: Events = Event::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), Event::ALL.len());
    }

    #[test]
    fn authorising_is_deciding_and_being_connected_is_a_fact() {
        assert_eq!(Event::AuthorizePublish.kind(), EventKind::Decide);
        assert_eq!(Event::Connected.kind(), EventKind::Observe);
    }
}
