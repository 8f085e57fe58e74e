//! The desk between a worker's core and the store: the core's requests in the store's terms, and back.
//!
//! What one turn of a worker appends to a shard goes there as one group: one write, one answer. It is public for those who
//! drive cores by themselves.

mod back;
mod forth;

use std::collections::{HashMap, VecDeque};
use tidewire_core::{StoreAnswer, StoreRequest, StoreTicket, Time, Unavailability, UnixClock};
use tidewire_store::{Answer, Durability, GROUP_MESSAGES_MAX, Group, Request, ShardId, Ticket};

/// Bytes from which on a group is handed over although the turn goes on.
const GROUP_BYTES: usize = 256 * 1024;

/// A worker's way to the store, part of its driver. Answers come back as the worker's mail.
pub trait StorePort: Send {
    /// Hands a request over; never waits.
    ///
    /// # Errors
    /// More waits for the store than it may hold. Nothing of the request is stored.
    fn submit(&mut self, ticket: Ticket, request: Request) -> Result<(), StoreBusy>;
}

/// More waits for the store than it may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreBusy;

impl std::fmt::Display for StoreBusy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("more waits for the store than it may hold")
    }
}

impl std::error::Error for StoreBusy {}

impl StorePort for tidewire_store::Port {
    fn submit(&mut self, ticket: Ticket, request: Request) -> Result<(), StoreBusy> {
        Self::submit(self, ticket, request).map_err(|_| StoreBusy)
    }
}

/// One worker's desk.
#[derive(Debug)]
pub struct Desk {
    clock: UnixClock,
    shards: u16,
    /// Groups that are being filled.
    open: Vec<OpenGroup>,
    out: HashMap<Ticket, Out>,
    next: u64,
    /// Requests that the store had no room for.
    bounced: VecDeque<StoreTicket>,
    /// The time of the turn at hand.
    now: Time,
}

#[derive(Debug)]
struct OpenGroup {
    shard: ShardId,
    durability: Durability,
    group: Group,
    /// Whose changes it holds, each with the place of its message.
    tickets: Vec<(StoreTicket, u8)>,
}

/// A request that the store has.
#[derive(Debug)]
enum Out {
    Group {
        shard: ShardId,
        tickets: Vec<(StoreTicket, u8)>,
    },
    One {
        shard: ShardId,
        ticket: StoreTicket,
    },
}

impl Desk {
    /// A desk before a store with so many shards.
    #[must_use]
    pub fn new(clock: UnixClock, shards: u16) -> Self {
        Self {
            clock,
            shards,
            open: Vec::new(),
            out: HashMap::new(),
            next: 0,
            bounced: VecDeque::new(),
            now: Time::ZERO,
        }
    }

    /// Tells the time.
    pub fn begin_turn(&mut self, now: Time) {
        self.now = now;
    }

    /// Takes a request of the core's.
    pub fn take(&mut self, port: &mut dyn StorePort, ticket: StoreTicket, request: StoreRequest) {
        match request {
            StoreRequest::Append(append) => self.append(port, ticket, &append),
            StoreRequest::Write {
                name,
                durability,
                ops,
            } => self.write(port, ticket, &name, durability, ops),
            other => {
                // It may depend on what was written before.
                self.hand_over(port);
                let (shard, request) = self.lookup(other);
                self.submit(port, Out::One { shard, ticket }, request);
            }
        }
    }

    /// Hands over what is being filled.
    pub fn hand_over(&mut self, port: &mut dyn StorePort) {
        for open in std::mem::take(&mut self.open) {
            self.close(port, open);
        }
    }

    /// The next request that the store had no room for.
    pub fn bounced(&mut self) -> Option<(StoreTicket, StoreAnswer)> {
        let ticket = self.bounced.pop_front()?;
        Some((ticket, StoreAnswer::Unavailable(Unavailability::Busy)))
    }

    /// What an answer of the store's says to the core, request by request.
    pub fn settle(
        &mut self,
        ticket: Ticket,
        answer: Answer,
        mut to: impl FnMut(StoreTicket, StoreAnswer),
    ) {
        match self.out.remove(&ticket) {
            Some(Out::One { shard, ticket }) => to(ticket, self.answer(shard, answer)),
            Some(Out::Group { shard, tickets }) => {
                let Answer::Committed(outcome) = answer else {
                    return;
                };
                for (ticket, place) in tickets {
                    to(ticket, back::committed(shard, &outcome, place));
                }
            }
            None => {}
        }
    }

    /// Whether nothing is being filled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The open group for a shard and durability.
    fn open_group(&mut self, shard: ShardId, durability: Durability) -> &mut OpenGroup {
        let same = |open: &OpenGroup| open.shard == shard && open.durability == durability;
        let at = self.open.iter().position(same).unwrap_or_else(|| {
            self.open.push(OpenGroup {
                shard,
                durability,
                group: Group::new(),
                tickets: Vec::new(),
            });
            self.open.len() - 1
        });
        &mut self.open[at]
    }

    /// Hands over the open groups of a shard that have come to their size.
    fn close_full(&mut self, port: &mut dyn StorePort) {
        let is_full = |open: &OpenGroup| {
            open.group.messages() >= GROUP_MESSAGES_MAX || open.group.size_bytes() >= GROUP_BYTES
        };
        while let Some(at) = self.open.iter().position(is_full) {
            let open = self.open.swap_remove(at);
            self.close(port, open);
        }
    }

    fn close(&mut self, port: &mut dyn StorePort, open: OpenGroup) {
        let OpenGroup {
            shard,
            durability,
            group,
            tickets,
        } = open;
        let request = Request::Commit {
            shard,
            durability,
            group,
        };
        self.submit(port, Out::Group { shard, tickets }, request);
    }

    fn submit(&mut self, port: &mut dyn StorePort, out: Out, request: Request) {
        let ticket = Ticket(self.next);
        self.next += 1;
        if port.submit(ticket, request).is_ok() {
            self.out.insert(ticket, out);
            return;
        }
        match out {
            Out::Group { tickets, .. } => {
                self.bounced
                    .extend(tickets.into_iter().map(|(ticket, _)| ticket));
            }
            Out::One { ticket, .. } => self.bounced.push_back(ticket),
        }
    }
}
