//! From the core to the store.

use super::{Desk, Out, StorePort};
use std::sync::Arc;
use tidewire_core::{
    Append, GroupOp, Location, Message, SessionName as Name, StoreOp, StoreRequest, StoreTicket,
    StoredCursor, Time, UnixClock,
};
use tidewire_store::{
    Binding, BindingStage, CursorState, Durability, Expect, Group, MessageRef, Offset, OriginRef,
    Owner, Read, Request, SessionName, ShardId, home_of,
};

impl Desk {
    pub(super) fn append(
        &mut self,
        port: &mut dyn StorePort,
        ticket: StoreTicket,
        append: &Append,
    ) {
        let shard = home_of(append.client_id(), self.shards);
        let durability = durability(append.durability);
        let record = record_of(&append.message, self.clock);
        let mark = append
            .mark
            .and_then(|id| Some((name_of_publisher(&append.message)?, id)));
        if append.version.is_some() {
            // It may be refused, and must not take others along; nor may it pass those before it.
            self.hand_over(port);
            let group = retained(append, &record);
            let group = match mark {
                Some((name, id)) => group.mark(&name, id.get()),
                None => group,
            };
            let request = Request::Commit {
                shard,
                durability,
                group,
            };
            return self.submit(port, Out::One { shard, ticket }, request);
        }
        let open = self.open_group(shard, durability);
        let place = u8::try_from(open.group.messages()).unwrap_or(u8::MAX);
        open.tickets.push((ticket, place));
        let mut group = std::mem::take(&mut open.group).append(&record);
        if let Some((name, id)) = mark {
            group = group.mark(&name, id.get());
        }
        open.group = group;
        self.close_full(port);
    }

    pub(super) fn write(
        &mut self,
        port: &mut dyn StorePort,
        ticket: StoreTicket,
        name: &Name,
        policy: tidewire_core::Durability,
        ops: Vec<StoreOp>,
    ) {
        let name = session_name(name);
        let shard = name.home(self.shards);
        let durability = durability(policy);
        // What is said of a session holds from its place among the messages on: those before must be before.
        let changes_session = ops.iter().any(|op| {
            matches!(
                op,
                StoreOp::PutSession(_)
                    | StoreOp::DeleteSession
                    | StoreOp::PutOwner(_)
                    | StoreOp::Append(_)
            )
        });
        if changes_session {
            self.hand_over(port);
        }
        let clock = self.clock;
        let open = self.open_group(shard, durability);
        open.tickets.push((ticket, 0));
        let mut group = std::mem::take(&mut open.group);
        for op in ops {
            group = apply(group, &name, op, clock);
        }
        open.group = group;
        if changes_session {
            self.hand_over(port);
        } else {
            self.close_full(port);
        }
    }

    /// A question, or a change of a shared group, with the shard that its answer is about.
    pub(super) fn lookup(&self, request: StoreRequest) -> (ShardId, Request) {
        let now_ms = self.clock.unix_ms(self.now);
        let none = ShardId(0);
        match request {
            StoreRequest::WriteGroup { share, filter, op } => {
                let shard = home_of(&filter, self.shards);
                let owner = Owner::Group { share, filter };
                let group = match op {
                    GroupOp::Put => {
                        let filter = match &owner {
                            Owner::Group { filter, .. } => filter.clone(),
                            Owner::Session(_) => Box::default(),
                        };
                        Group::new().put_owner(&owner, [&*filter])
                    }
                    GroupOp::Delete => Group::new().delete_owner(&owner),
                    GroupOp::PutCursor { shard, cursor } => {
                        Group::new().put_cursor(&owner, ShardId(shard), &cursor_state(&cursor))
                    }
                };
                let request = Request::Commit {
                    shard,
                    durability: Durability::Sync,
                    group,
                };
                (shard, request)
            }
            StoreRequest::Load(name) => (none, Request::Session(session_name(&name))),
            StoreRequest::LoadGroup { share, filter } => {
                (none, Request::Cursors(Owner::Group { share, filter }))
            }
            StoreRequest::Read {
                shard,
                from,
                filters,
                most,
                most_bytes,
            } => {
                let shard = ShardId(shard);
                let read = Read {
                    shard,
                    from: Offset(from),
                    filters: Arc::clone(&filters),
                    most,
                    most_bytes,
                    // Expired ones are told, so that they are counted.
                    now_ms: 0,
                };
                (shard, Request::Read(read))
            }
            StoreRequest::Sessions { after, most } => {
                let after = after.as_ref().map(session_name);
                (none, Request::Sessions { after, most })
            }
            StoreRequest::Wills { after, most } => {
                let after = after.as_ref().map(session_name);
                (none, Request::Wills { after, most })
            }
            StoreRequest::Retained { after, most } => {
                let request = Request::Retained {
                    filter: "#".into(),
                    after,
                    most,
                    now_ms,
                };
                (none, request)
            }
            // The others have been dealt with.
            StoreRequest::Heads | StoreRequest::Append(_) | StoreRequest::Write { .. } => {
                (none, Request::Heads)
            }
        }
    }
}

fn retained(append: &Append, record: &MessageRef<'_>) -> Group {
    let version = append.version.unwrap_or(0);
    let (topic, empty) = (record.topic, record.payload.is_empty());
    match (append.owed, empty) {
        (true, false) => Group::new().append(record).retain_appended(0, version),
        (true, true) => Group::new().append(record).unretain(version, topic),
        (false, false) => Group::new().retain(version, record),
        (false, true) => Group::new().unretain(version, topic),
    }
}

fn apply(group: Group, name: &SessionName, op: StoreOp, clock: UnixClock) -> Group {
    match op {
        StoreOp::PutSession(record) => group.put_session(name, Expect::Any, &record),
        StoreOp::DeleteSession => group.delete_session(name, Expect::Any),
        StoreOp::Mark(id) => group.mark(name, id.get()),
        StoreOp::Unmark(id) => group.unmark(name, id.get()),
        StoreOp::Bind {
            packet_id,
            at: Location { shard, offset },
            received,
        } => group.bind(
            name,
            Binding {
                packet_id: packet_id.get(),
                shard: ShardId(shard),
                offset: Offset(offset),
                stage: if received {
                    BindingStage::Received
                } else {
                    BindingStage::Sent
                },
            },
        ),
        StoreOp::Unbind(id) => group.unbind(name, id.get()),
        StoreOp::PutOwner(filters) => {
            let owner = Owner::Session(name.clone());
            group.put_owner(&owner, filters.iter().map(|filter| &**filter))
        }
        StoreOp::PutCursor { shard, cursor } => {
            let owner = Owner::Session(name.clone());
            group.put_cursor(&owner, ShardId(shard), &cursor_state(&cursor))
        }
        StoreOp::PutWill(will) => group.put_will(name, &will),
        StoreOp::DeleteWill => group.delete_will(name),
        StoreOp::Append(message) => group.append(&record_of(&message, clock)),
    }
}

fn record_of(message: &Message, clock: UnixClock) -> MessageRef<'_> {
    let expires = message.expires();
    let origin = message.origin().map(|origin| OriginRef {
        principal: origin.principal.as_deref(),
        client_id: &origin.client_id,
        listener: origin.listener,
    });
    MessageRef {
        topic: message.topic(),
        properties: message.properties(),
        payload: message.payload(),
        qos: message.qos(),
        retain: message.retain(),
        expires_ms: (expires != Time::NEVER).then(|| clock.unix_ms(expires)),
        received_ms: clock.unix_ms(message.received()),
        origin,
    }
}

fn name_of_publisher(message: &Message) -> Option<SessionName> {
    let origin = message.origin()?;
    Some(SessionName::new(
        origin.principal.as_deref(),
        &origin.client_id,
    ))
}

fn session_name(name: &Name) -> SessionName {
    SessionName::new(name.principal.as_deref(), &name.client_id)
}

fn cursor_state(cursor: &StoredCursor) -> CursorState {
    let acked = cursor.acked.iter();
    CursorState {
        position: Offset(cursor.position),
        acked: acked
            .map(|(from, to)| (Offset(*from), Offset(*to)))
            .collect(),
    }
}

/// What the core's policy asks of the store, which memory does not come to.
fn durability(policy: tidewire_core::Durability) -> Durability {
    match policy {
        tidewire_core::Durability::Sync => Durability::Sync,
        tidewire_core::Durability::Os | tidewire_core::Durability::Memory => Durability::Os,
    }
}
