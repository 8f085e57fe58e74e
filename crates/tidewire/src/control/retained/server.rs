//! The broker's side of `tidewire ctl retained`.

use super::message::{RetainedMessage, removal};
use crate::control::protocol::{Answer, Body, RetainedList};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidewire_broker::{BrokerGone, BrokerHandle, PublishError, RetainedCursor, RetainedPage};
use tidewire_codec::topic;

/// Lists that may be under way at a time; the oldest is given up for a new one.
const LISTS_MAX: usize = 64;
/// Bytes of payload after which an answer ends.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Pages that one answer may take.
const ANSWER_PAGES: usize = 16;
/// Messages that a page of the broker has at most.
const PAGE: usize = 256;

/// Where lists go on that are not at their end.
#[derive(Debug, Default)]
pub(crate) struct Lists(Mutex<(u64, BTreeMap<u64, RetainedCursor>)>);

impl Lists {
    fn keep(&self, cursor: RetainedCursor) -> u64 {
        let mut lists = self.lock();
        lists.0 += 1;
        let id = lists.0;
        lists.1.insert(id, cursor);
        if lists.1.len() > LISTS_MAX {
            lists.1.pop_first();
        }
        id
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, RetainedCursor>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some of what is retained, and where to go on.
pub(crate) fn list(
    handle: &BrokerHandle,
    lists: &Lists,
    filter: &str,
    from: Option<u64>,
) -> Result<Answer, BrokerGone> {
    if let Some(refused) = refuse(filter) {
        return Ok(refused);
    }
    let mut at = match from {
        None => None,
        Some(id) => match lists.lock().1.remove(&id) {
            Some(cursor) => Some(cursor),
            None => {
                return Ok(Answer::refused(
                    "no_such_list",
                    "that list has been given up for newer ones; begin again",
                ));
            }
        },
    };
    let (mut messages, mut bytes) = (Vec::new(), 0);
    for _ in 0..ANSWER_PAGES {
        let page = handle.retained(filter, at, PAGE)?;
        bytes += page
            .rows
            .iter()
            .map(|row| row.message.payload().len())
            .sum::<usize>();
        messages.extend(RetainedMessage::page(&page));
        at = page.next;
        if at.is_none() || bytes >= ANSWER_BYTES {
            break;
        }
    }
    let next = at.map(|cursor| lists.keep(cursor));
    Ok(Answer::done(Body::Retained(RetainedList {
        messages,
        next,
    })))
}

/// Deletes all that match; how many there were.
pub(crate) fn delete(handle: &BrokerHandle, filter: &str) -> Result<Answer, BrokerGone> {
    if let Some(refused) = refuse(filter) {
        return Ok(refused);
    }
    let (mut deleted, mut at) = (0, None);
    loop {
        let RetainedPage { rows, next } = handle.retained(filter, at, PAGE)?;
        deleted += rows.len() as u64;
        for row in rows {
            // Waiting for each keeps the broker's other work going, however many there are.
            match handle.publish_and_wait(removal(row.message.topic())) {
                Ok(()) => {}
                Err(PublishError::Gone) => return Err(BrokerGone),
                Err(error) => return Ok(Answer::refused("not_deleted", error.to_string())),
            }
        }
        at = next;
        if at.is_none() {
            return Ok(Answer::done(Body::RetainedDeleted(deleted)));
        }
    }
}

/// Publishes messages to be retained; all of them are looked at before the first.
pub(crate) fn import(
    handle: &BrokerHandle,
    messages: &[RetainedMessage],
) -> Result<Answer, BrokerGone> {
    let mut packets = Vec::new();
    for message in messages {
        match message.publish() {
            Ok(packet) => packets.push(packet),
            Err(error) => {
                return Ok(Answer::refused(
                    "malformed",
                    format!("{:?}: {error}", message.topic),
                ));
            }
        }
    }
    for packet in packets {
        match handle.publish_and_wait(packet) {
            Ok(()) => {}
            Err(PublishError::Gone) => return Err(BrokerGone),
            Err(error) => return Ok(Answer::refused("malformed", error.to_string())),
        }
    }
    Ok(Answer::done(Body::RetainedImported(messages.len() as u64)))
}

fn refuse(filter: &str) -> Option<Answer> {
    let error = match topic::split_shared(filter) {
        Ok(Some(_)) => "it is a shared one".to_owned(),
        _ => topic::validate_filter(filter).err()?.to_string(),
    };
    Some(Answer::refused(
        "filter",
        format!("{filter:?} is no topic filter: {error}"),
    ))
}
