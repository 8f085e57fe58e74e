//! Mail from other workers.

use crate::ack::Permit;
use crate::ack_lane::Receipt;
use crate::core::Core;
use crate::keeper::publish::{Published, Way};
use crate::keys::WorkerId;
use crate::mail::{Batch, Item, Publisher, Run};
use crate::message::Message;
use crate::route::interest::Interest;
use std::sync::Arc;

impl Core {
    pub(crate) fn on_mail(&mut self, interest: &Interest, from: WorkerId, mut batch: Batch) {
        let bytes = std::mem::take(&mut batch.bytes);
        for item in batch.items.drain(..) {
            self.on_item(interest, from, item, &bytes);
        }
        batch.bytes = bytes;
        batch.clear();
        self.spent = Some(batch);
    }

    fn on_item(&mut self, interest: &Interest, from: WorkerId, item: Item, bytes: &[u8]) {
        match item {
            Item::Frames {
                origin,
                v5,
                frames,
                topic,
                frame_len,
                payload_at,
            } => {
                let frames = bytes.get(frames).unwrap_or_default();
                let name = frames
                    .get(topic)
                    .and_then(|name| std::str::from_utf8(name).ok())
                    .unwrap_or_default();
                let run = Run {
                    v5,
                    topic: name,
                    frames,
                    frame_len,
                    payload_at,
                };
                self.on_run(interest, &origin, &run);
            }
            Item::Message(message, stored) => {
                let slot = self.route_of(interest, message.topic());
                let route = self.routes.take(slot);
                let mut parts = message.parts();
                parts.stored = stored;
                self.deliver_here(&route, &parts, Some(message.clone()));
                self.routes.put(slot, route);
            }
            Item::ViaOwner(message, receipt) => {
                self.on_via_owner(interest, from, &message, receipt);
            }
            Item::Receipt { receipt, reason } => self.on_receipt(interest, receipt, reason),
            Item::Warm => self.on_peer_warm(),
            Item::Barrier { round } => self.on_barrier(from, round),
            Item::Passed { round, held } => self.on_passed(round, &held),
            Item::Fence { topic_hash } => self.lift_fence(topic_hash),
            Item::ScanRetained(request) => self.on_scan(from, request),
            Item::Retained {
                session,
                scan,
                messages,
                next,
            } => self.on_scanned(session, scan, messages, next),
            item => self.on_group_item(item),
        }
    }

    fn on_via_owner(
        &mut self,
        interest: &Interest,
        from: WorkerId,
        message: &Message,
        receipt: Option<Receipt>,
    ) {
        let way = Way {
            receipt,
            fence: Some(from),
            behind: None,
        };
        let published = self.publish_here(interest, &message.parts(), Some(message), way);
        let Published::Now(matched) = published else {
            return;
        };
        if let Some(receipt) = receipt {
            let permit = Permit::not_required();
            self.settle(interest, receipt, matched.reason(), permit);
        }
        let topic_hash = self.home_hash(message.topic());
        self.outbox.fence(from, topic_hash);
    }

    /// Mail about shared groups.
    fn on_group_item(&mut self, item: Item) {
        match item {
            Item::Join {
                share,
                filter,
                member,
                options,
            } => {
                self.on_join(&share, &filter, member, options);
            }
            Item::Leave {
                share,
                filter,
                member,
            } => self.on_leave(&share, &filter, member),
            Item::Presence { member, presence } => self.on_presence(member, presence),
            Item::GroupDelivery {
                session,
                delivery,
                attempt,
            } => {
                self.on_group_delivery(session, delivery, attempt);
            }
            Item::GroupReturn {
                mark,
                message,
                attempt,
            } => self.return_to_group(mark, message, attempt),
            Item::GroupFinished { mark, member } => self.on_group_finished(mark, member),
            // The rest is dealt with by the caller.
            _ => {}
        }
    }

    fn on_run(&mut self, interest: &Interest, origin: &Arc<crate::Origin>, run: &Run<'_>) {
        let slot = self.route_of(interest, run.topic);
        let route = self.routes.take(slot);
        self.deliver_run_here(&route, Publisher::Elsewhere(origin), run);
        self.routes.put(slot, route);
    }

    fn lift_fence(&mut self, topic_hash: u64) {
        if let Some(count) = self.fenced.get_mut(&topic_hash) {
            *count -= 1;
            if *count == 0 {
                self.fenced.remove(&topic_hash);
            }
        }
    }
}
