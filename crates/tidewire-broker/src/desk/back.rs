//! From the store to the core.

use super::Desk;
use std::sync::Arc;
use tidewire_core::{
    Location, Message, MessageRecord, SessionName as Name, StoreAnswer, StoredBinding,
    StoredCursor, StoredPage, StoredSession, Unavailability,
};
use tidewire_store::{
    Answer, BindingStage, CursorState, Outcome, SessionName, SessionState, ShardId, StoredMessage,
    Unavailable,
};

impl Desk {
    pub(super) fn answer(&self, shard: ShardId, answer: Answer) -> StoreAnswer {
        match answer {
            Answer::Committed(outcome) => committed(shard, &outcome, 0),
            Answer::Page(page) => {
                let messages = page.messages.iter();
                StoreAnswer::Page(Box::new(StoredPage {
                    messages: messages.map(|(at, it)| (at.0, self.message(it))).collect(),
                    next: page.next.0,
                    at_head: page.at_head,
                    damaged: page.damaged,
                }))
            }
            Answer::Session(state) => {
                StoreAnswer::Session(state.map(|state| Box::new(session(*state))))
            }
            Answer::Cursors(cursors) => {
                StoreAnswer::Group(cursors.map(|all| all.iter().map(cursor).collect()))
            }
            Answer::Sessions(rows) => {
                let rows = rows.into_iter();
                StoreAnswer::Sessions(rows.map(|(who, _, record)| (name(&who), record)).collect())
            }
            Answer::Wills(rows) => {
                let rows = rows.into_iter();
                StoreAnswer::Wills(rows.map(|(who, record)| (name(&who), record)).collect())
            }
            Answer::Retained(page) => {
                let messages = page.messages.iter();
                StoreAnswer::Retained {
                    messages: messages
                        .map(|(version, it)| (*version, self.message(it)))
                        .collect(),
                    after: page.after,
                }
            }
            Answer::Heads(heads) => StoreAnswer::Heads(heads.iter().map(|head| head.0).collect()),
            Answer::Unreadable(why) => StoreAnswer::Unreadable(why),
            Answer::Stats(_) | Answer::BackedUp(_) => {
                StoreAnswer::Unreadable("not an answer to a worker".into())
            }
        }
    }

    fn message(&self, stored: &StoredMessage) -> Message {
        let view = stored.get();
        let origin = view
            .origin
            .map(|origin| (origin.principal, origin.client_id, origin.listener));
        let record = MessageRecord {
            topic: view.topic,
            properties: view.properties,
            payload: view.payload,
            qos: view.qos,
            retain: view.retain,
            expires_ms: view.expires_ms,
            received_ms: view.received_ms,
            origin,
        };
        Message::restore(&record, self.clock, self.now)
    }
}

/// What became of one request in a group; `place` is that of its message.
pub(super) fn committed(shard: ShardId, outcome: &Outcome, place: u8) -> StoreAnswer {
    match outcome {
        Outcome::Stored(stored) => StoreAnswer::Stored {
            at: Location {
                shard: shard.0,
                offset: stored.first.0 + u64::from(place),
            },
        },
        Outcome::Unavailable(Unavailable::Full) => StoreAnswer::Unavailable(Unavailability::Full),
        Outcome::Unavailable(Unavailable::Failed) => {
            StoreAnswer::Unavailable(Unavailability::Failed)
        }
        refused => StoreAnswer::Refused {
            why: format!("{refused:?}").into(),
        },
    }
}

fn session(state: SessionState) -> StoredSession {
    let filters = state.filters.map(|filters| {
        let filters = filters.into_iter();
        filters.map(|(filter, since)| (filter, since.0)).collect()
    });
    let bindings = state.bindings.iter().map(|binding| StoredBinding {
        packet_id: binding.packet_id,
        at: Location {
            shard: binding.shard.0,
            offset: binding.offset.0,
        },
        received: binding.stage == BindingStage::Received,
    });
    StoredSession {
        record: state.record,
        marks: state.marks,
        bindings: bindings.collect(),
        filters,
        cursors: state.cursors.iter().map(cursor).collect(),
        will: state.will,
    }
}

fn cursor(state: &CursorState) -> StoredCursor {
    let acked = state.acked.iter();
    StoredCursor {
        position: state.position.0,
        acked: acked.map(|(from, to)| (from.0, to.0)).collect(),
    }
}

fn name(name: &SessionName) -> Name {
    Name {
        principal: name.principal.as_deref().map(Into::into),
        client_id: Arc::from(&*name.client_id),
    }
}
