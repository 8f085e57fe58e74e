//! What the core reports, as handlers are told it.

use crate::extend::decider::properties_of;
use crate::extend::way::origin_of;
use std::sync::Arc;
use tidewire_codec::Publish;
use tidewire_core::{DisconnectCause, DropReason, Event, Message, PeerFacts, SessionEnd};
use tidewire_handler as told;
use tidewire_handler::{Notice, Peer};

/// The notice of an event.
// tidy-allow: lengths one arm for each event, and nothing else
pub(crate) fn notice(event: &Event) -> Notice {
    match event {
        Event::Connected {
            client_id,
            peer,
            version,
            session_present,
            keep_alive_secs,
        } => Notice::Connected(told::Connected {
            client_id: (&**client_id).into(),
            peer: place(peer),
            version: *version,
            session_present: *session_present,
            keep_alive_secs: *keep_alive_secs,
        }),
        Event::Refused {
            client_id,
            peer,
            reason,
            text,
        } => Notice::Refused(told::Refused {
            client_id: client_id.as_deref().map(Into::into),
            peer: place(peer),
            reason: *reason,
            text: (&**text).into(),
        }),
        Event::Disconnected {
            client_id,
            peer,
            cause,
            session_kept,
        } => Notice::Disconnected(told::Disconnected {
            client_id: (&**client_id).into(),
            peer: place(peer),
            cause: match cause {
                DisconnectCause::ByClient { reason } => told::DisconnectCause::Client(*reason),
                DisconnectCause::ByServer { reason, .. } => told::DisconnectCause::Server(*reason),
                DisconnectCause::Transport(_) => told::DisconnectCause::Transport,
            },
            text: cause.to_string().into(),
            session_kept: *session_kept,
        }),
        Event::SessionEnded { client_id, cause } => Notice::SessionEnded(told::SessionEnded {
            client_id: (&**client_id).into(),
            cause: match cause {
                SessionEnd::WithConnection => told::SessionEnd::WithConnection,
                SessionEnd::Expired => told::SessionEnd::Expired,
                SessionEnd::CleanStart => told::SessionEnd::CleanStart,
            },
        }),
        Event::WillArmed {
            client_id,
            peer,
            topic,
        } => Notice::WillArmed(told::WillArmed {
            client_id: (&**client_id).into(),
            peer: place(peer),
            topic: (&**topic).into(),
        }),
        Event::WillPublished { client_id, topic } => Notice::WillPublished(told::WillPublished {
            client_id: (&**client_id).into(),
            topic: (&**topic).into(),
        }),
        Event::WillRefused {
            client_id,
            topic,
            reason,
        } => Notice::WillRefused(told::WillRefused {
            client_id: (&**client_id).into(),
            topic: (&**topic).into(),
            reason: *reason,
        }),
        Event::Published { message } => Notice::Published(told::Published {
            publish: Arc::new(publish_of(message)),
            origin: origin_of(message),
        }),
        Event::Subscribed {
            client_id,
            principal,
            peer,
            filter,
            qos,
        } => Notice::Subscribed(told::Subscribed {
            client_id: (&**client_id).into(),
            principal: principal.clone(),
            peer: place(peer),
            filter: (&**filter).into(),
            qos: *qos,
        }),
        Event::Unsubscribed {
            client_id,
            peer,
            filter,
        } => Notice::Unsubscribed(told::Unsubscribed {
            client_id: (&**client_id).into(),
            peer: place(peer),
            filter: (&**filter).into(),
        }),
        Event::Acknowledged {
            client_id,
            peer,
            packet_id,
            reason,
        } => Notice::Acknowledged(told::Acknowledged {
            client_id: (&**client_id).into(),
            peer: place(peer),
            packet_id: *packet_id,
            reason: *reason,
        }),
        Event::Dropped {
            receiver,
            topic,
            reason,
        } => Notice::Dropped(told::Dropped {
            client_id: receiver.as_ref().map(|origin| (&*origin.client_id).into()),
            topic: (&**topic).into(),
            reason: drop_reason(*reason),
        }),
        Event::Pinged { client_id, peer } => Notice::Pinged(told::Pinged {
            client_id: (&**client_id).into(),
            peer: place(peer),
        }),
        Event::RetainedChanged {
            topic,
            payload_bytes,
        } => Notice::RetainedChanged(told::RetainedChanged {
            topic: (&**topic).into(),
            payload_bytes: *payload_bytes,
        }),
    }
}

/// The event's name and listener, to see whether a notice is worth making.
pub(crate) fn address(event: &Event) -> (Option<u16>, told::Event) {
    match event {
        Event::Connected { peer, .. } => (Some(peer.listener), told::Event::Connected),
        Event::Refused { peer, .. } => (Some(peer.listener), told::Event::Refused),
        Event::Disconnected { peer, .. } => (Some(peer.listener), told::Event::Disconnected),
        Event::SessionEnded { .. } => (None, told::Event::SessionEnded),
        Event::WillArmed { peer, .. } => (Some(peer.listener), told::Event::WillArmed),
        Event::WillPublished { .. } => (None, told::Event::WillPublished),
        Event::WillRefused { .. } => (None, told::Event::WillRefused),
        Event::Published { message } => {
            let listener = message.origin().map(|origin| origin.listener);
            (listener, told::Event::Published)
        }
        Event::Subscribed { peer, .. } => (Some(peer.listener), told::Event::Subscribed),
        Event::Unsubscribed { peer, .. } => (Some(peer.listener), told::Event::Unsubscribed),
        Event::Acknowledged { peer, .. } => (Some(peer.listener), told::Event::Acknowledged),
        Event::Dropped { .. } => (None, told::Event::Dropped),
        Event::Pinged { peer, .. } => (Some(peer.listener), told::Event::Pinged),
        Event::RetainedChanged { .. } => (None, told::Event::RetainedChanged),
    }
}

fn publish_of(message: &Message) -> Publish<'static> {
    Publish {
        dup: false,
        qos: message.qos(),
        retain: message.retain(),
        topic: message.topic().to_owned().into(),
        packet_id: None,
        properties: properties_of(message.properties(), message.expiry_interval_secs()),
        payload: message.payload().to_vec().into(),
    }
}

fn drop_reason(reason: DropReason) -> told::DropReason {
    match reason {
        DropReason::NoSubscriber => told::DropReason::NoSubscriber,
        DropReason::QueueFull => told::DropReason::QueueFull,
        DropReason::SlowReader => told::DropReason::SlowReader,
        DropReason::Expired => told::DropReason::Expired,
        DropReason::TooLarge => told::DropReason::TooLarge,
        DropReason::Suppressed => told::DropReason::Suppressed,
        DropReason::RetainedFull => told::DropReason::RetainedFull,
    }
}

fn place(peer: &PeerFacts) -> Peer {
    Peer {
        listener: peer.listener,
        address: (&*peer.address).into(),
    }
}
