//! From the methods of a handler, one for each event, to one function for questions and one for notices.

use super::say::Say;
use tidewire_handler::{Client, Decide, Events, Notice};

/// A handler that does not tell the events apart.
pub(crate) trait Foreign: Send + Sync + 'static {
    /// What it handles.
    fn handled(&self) -> Events;

    /// Answers a question.
    fn asked<A: Say>(&self, client: &Client, ask: &A) -> Decide<A::Answer>
    where
        A::Owned: Say<Answer = A::Answer>;

    /// Hears what happened.
    fn noticed(&self, notice: &Notice);
}

/// Implements `Handler` for a [`Foreign`] one.
macro_rules! foreign_handler {
    ($handler:ty) => {
        $crate::handlers::foreign::foreign_handler! {
            $handler:
            ask {
                before_connect(BeforeConnect) -> ();
                connect(tidewire_codec::Connect<'_>) -> tidewire_codec::Properties<'static>;
                authenticate(Authenticate<'_>) -> Authentication;
                authentication_step(AuthenticationStep<'_>) -> Authentication;
                authorize_publish(AuthorizePublish<'_>) -> ();
                authorize_subscribe(AuthorizeSubscribe<'_>) -> ();
                publish(tidewire_codec::Publish<'_>) -> Publication;
                subscribe(tidewire_codec::Subscribe<'_>) -> Codes;
                unsubscribe(tidewire_codec::Unsubscribe<'_>) -> Codes;
                deliver(Deliver<'_>) -> Delivery;
            }
            tell {
                connected(Connected, Connected);
                refused(Refused, Refused);
                disconnected(Disconnected, Disconnected);
                session_ended(SessionEnded, SessionEnded);
                subscribed(Subscribed, Subscribed);
                unsubscribed(Unsubscribed, Unsubscribed);
                published(Published, Published);
                acknowledged(Acknowledged, Acknowledged);
                dropped(Dropped, Dropped);
                pinged(Pinged, Pinged);
                will_armed(WillArmed, WillArmed);
                will_published(WillPublished, WillPublished);
                will_refused(WillRefused, WillRefused);
                retained_changed(RetainedChanged, RetainedChanged);
                listener_started(ListenerStarted, ListenerChange);
                listener_stopped(ListenerStopped, ListenerChange);
                worker_started(WorkerStarted, WorkerChange);
                worker_exited(WorkerExited, WorkerChange);
                server_ready(ServerReady, ServerChange);
                server_stopping(ServerStopping, ServerChange);
            }
        }
    };
    (
        $handler:ty:
        ask { $( $ask:ident($Ask:ty) -> $answer:ty; )* }
        tell { $( $tell:ident($Notice:ident, $Told:ident); )* }
    ) => {
        const _: () = {
            use tidewire_handler::*;
            use $crate::handlers::foreign::Foreign;

            impl Handler for $handler {
                fn events(&self) -> Events {
                    self.handled()
                }
                $(
                    fn $ask(&self, client: &Client, ask: &$Ask) -> Decide<$answer> {
                        self.asked(client, ask)
                    }
                )*
                $(
                    fn $tell(&self, told: &$Told) {
                        self.noticed(&Notice::$Notice(told.clone()));
                    }
                )*
            }
        };
    };
}

pub(crate) use foreign_handler;
