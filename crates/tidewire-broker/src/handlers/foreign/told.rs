//! What is told, as views.

use super::question::{Fields, origin, put_publish};
use super::view::View;
use tidewire_handler::{DisconnectCause, DropReason, Notice, Peer, SessionEnd};

/// The fields of a notice.
// tidy-allow: lengths one arm for each event, and nothing else
pub(crate) fn told(notice: &Notice) -> Fields<'_> {
    let mut fields = Fields::new();
    let mut put = |name: &'static str, view| fields.push((name.into(), view));
    match notice {
        Notice::Connected(told) => {
            put("client_id", View::text(&told.client_id));
            put("version", View::Number(told.version.level().into()));
            put("session_present", View::Flag(told.session_present));
            put("keep_alive_secs", View::Number(told.keep_alive_secs.into()));
            put_peer(&mut fields, &told.peer);
        }
        Notice::Refused(told) => {
            put("client_id", View::maybe(told.client_id.as_deref()));
            put("reason", View::Number(told.reason as i64));
            put("text", View::text(&told.text));
            put_peer(&mut fields, &told.peer);
        }
        Notice::Disconnected(told) => {
            let (by, reason) = match told.cause {
                DisconnectCause::Client(reason) => ("client", View::Number(reason as i64)),
                DisconnectCause::Server(reason) => ("server", View::Number(reason as i64)),
                DisconnectCause::Transport => ("transport", View::Null),
            };
            put("client_id", View::text(&told.client_id));
            put("by", View::text(by));
            put("reason", reason);
            put("text", View::text(&told.text));
            put("session_kept", View::Flag(told.session_kept));
            put_peer(&mut fields, &told.peer);
        }
        Notice::SessionEnded(told) => {
            put("client_id", View::text(&told.client_id));
            put(
                "cause",
                View::text(match told.cause {
                    SessionEnd::WithConnection => "with_connection",
                    SessionEnd::Expired => "expired",
                    SessionEnd::CleanStart => "clean_start",
                }),
            );
        }
        Notice::Subscribed(told) => {
            put("client_id", View::text(&told.client_id));
            put("filter", View::text(&told.filter));
            put("qos", View::Number(told.qos as i64));
            put_peer(&mut fields, &told.peer);
        }
        Notice::Unsubscribed(told) => {
            put("client_id", View::text(&told.client_id));
            put("filter", View::text(&told.filter));
            put_peer(&mut fields, &told.peer);
        }
        Notice::Published(told) => {
            put_publish(&mut fields, &told.publish);
            fields.push(("origin".into(), origin(&told.origin)));
        }
        Notice::Acknowledged(told) => {
            put("client_id", View::text(&told.client_id));
            put("packet_id", View::Number(told.packet_id.get().into()));
            put("reason", View::Number(told.reason as i64));
            put_peer(&mut fields, &told.peer);
        }
        Notice::Dropped(told) => {
            put("client_id", View::maybe(told.client_id.as_deref()));
            put("topic", View::text(&told.topic));
            put("reason", View::text(drop_reason(told.reason)));
        }
        Notice::Pinged(told) => {
            put("client_id", View::text(&told.client_id));
            put_peer(&mut fields, &told.peer);
        }
        Notice::WillArmed(told) => {
            put("client_id", View::text(&told.client_id));
            put("topic", View::text(&told.topic));
            put_peer(&mut fields, &told.peer);
        }
        Notice::WillPublished(told) => {
            put("client_id", View::text(&told.client_id));
            put("topic", View::text(&told.topic));
        }
        Notice::WillRefused(told) => {
            put("client_id", View::text(&told.client_id));
            put("topic", View::text(&told.topic));
            put("reason", View::Number(told.reason as i64));
        }
        Notice::RetainedChanged(told) => {
            let bytes = told
                .payload_bytes
                .and_then(|bytes| i64::try_from(bytes).ok());
            put("topic", View::text(&told.topic));
            put("payload_bytes", bytes.map_or(View::Null, View::Number));
        }
        Notice::ListenerStarted(told) | Notice::ListenerStopped(told) => {
            put("name", View::text(&told.name));
            put("address", View::text(&told.address));
        }
        Notice::WorkerStarted(told) | Notice::WorkerExited(told) => {
            put("worker", View::Number(told.worker.into()));
        }
        Notice::ServerReady(told) | Notice::ServerStopping(told) => {
            put("workers", View::Number(told.workers.into()));
        }
    }
    fields
}

fn put_peer<'a>(fields: &mut Fields<'a>, peer: &'a Peer) {
    fields.push(("address".into(), View::text(&peer.address)));
    fields.push(("listener".into(), View::Number(peer.listener.into())));
}

fn drop_reason(reason: DropReason) -> &'static str {
    match reason {
        DropReason::QueueFull => "queue_full",
        DropReason::SlowReader => "slow_reader",
        DropReason::Expired => "expired",
        DropReason::TooLarge => "too_large",
        DropReason::Suppressed => "suppressed",
        DropReason::NoSubscriber => "no_subscriber",
        DropReason::RetainedFull => "retained_full",
    }
}
