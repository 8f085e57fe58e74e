//! An outbox that survives its process.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidewire_codec::{Carrier, Properties, Qos};
use tidewire_log::{
    Cursor, DiskFiles, Files, Lock, Log, LogConfig, NoDigest, OpenError, Preallocation,
};

use crate::outbox::{Key, MemoryOutbox, Outbox, OutboxLimits};
use crate::protocol::{Publish, Time};

/// Space is given back in whole files of this size.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Removals between two looks for files that can go.
const TRIM_EVERY: u32 = 256;
const LOG_NAME: &str = "outbox";

/// What a message has reached when `publish` returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The operating system has it: it survives the end of this process, `kill -9`, too, but not a power loss.
    #[default]
    Os,
    /// The disk has it: it survives a power loss. Each `publish` waits for the disk.
    Sync,
}

/// What becomes of messages of QoS 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepQos0 {
    /// They are written like the others.
    #[default]
    OnDisk,
    /// They are kept in memory only, and are gone with the process.
    InMemory,
}

/// An outbox in a folder of its own. What was accepted and not acknowledged by the server is published, in the old order, by the next
/// process that opens it; so a message whose acknowledgement was lost with the process arrives twice, at QoS 2, too.
///
/// All messages are also in memory, within the limits.
#[derive(Debug)]
pub struct DiskOutbox {
    memory: MemoryOutbox,
    log: Log,
    durability: Durability,
    qos0: KeepQos0,
    removals: u32,
    failure: Option<Box<str>>,
    _lock: Box<dyn Lock>,
}

impl DiskOutbox {
    /// Opens the outbox in this folder, or makes one.
    ///
    /// # Errors
    /// The folder cannot be used, or another process uses it.
    pub fn open(folder: impl AsRef<Path>, limits: OutboxLimits) -> Result<Self, DiskOutboxError> {
        let folder = folder.as_ref();
        let opened = DiskFiles::open(folder).map(Arc::new);
        let files = opened.map_err(|error| DiskOutboxError::of(folder, &error))?;
        Self::open_on(files, limits).map_err(|error| match error {
            Fault::Io(error) => DiskOutboxError::of(folder, &error),
            Fault::Open(error) => DiskOutboxError(format!("{}: {error}", folder.display()).into()),
        })
    }

    fn open_on(files: Arc<dyn Files>, limits: OutboxLimits) -> Result<Self, Fault> {
        let lock = files.lock("lock").map_err(Fault::Io)?;
        let config = LogConfig {
            name: LOG_NAME.to_owned(),
            salt: crate::random::next() as u32,
            segment_bytes: SEGMENT_BYTES,
            reserve_bytes: 0,
            preallocation: Preallocation::None,
            digest: || Box::new(NoDigest),
        };
        let (log, _) = Log::open(files, config).map_err(Fault::Open)?;
        let mut outbox = Self {
            memory: MemoryOutbox::new(limits),
            log,
            durability: Durability::default(),
            qos0: KeepQos0::default(),
            removals: 0,
            failure: None,
            _lock: lock,
        };
        outbox.restore().map_err(Fault::Io)?;
        Ok(outbox)
    }

    /// What `publish` waits for.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// What becomes of messages of QoS 0.
    #[must_use]
    pub fn qos0(mut self, keep: KeepQos0) -> Self {
        self.qos0 = keep;
        self
    }

    fn restore(&mut self) -> io::Result<()> {
        let now_ms = unix_ms();
        let mut cursor = Cursor::new(0);
        while let Some(record) = cursor.next(&self.log)? {
            match Entry::decode(record.body) {
                Some(Entry::Accepted {
                    message,
                    expires_at_ms,
                }) => {
                    // A clock that was set back must not make a message live for ever: at most its own lifetime again.
                    let left =
                        expires_at_ms.map(|at| Duration::from_millis(at.saturating_sub(now_ms)));
                    let longest = [message.lifetime(), self.memory.max_age()];
                    let longest = longest.into_iter().flatten().min();
                    let left = left.map(|left| longest.map_or(left, |longest| left.min(longest)));
                    let expires_at = left.map(|left| Time::ZERO.plus(left));
                    self.memory.restore(record.seq, message, expires_at);
                }
                Some(Entry::Removed(key)) => drop(self.memory.remove(key)),
                // A record of a later version: not this one's to judge.
                None => {}
            }
        }
        self.memory.raise_next_key(self.log.next_seq());
        self.trim();
        Ok(())
    }

    /// Writes a record; false if it is not on the disk.
    fn append(&mut self, key: Key, encode: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut outcome = Ok(());
        if self.failure.is_none() {
            self.log.push(key, encode);
            outcome = self.log.write();
            if outcome.is_ok() && self.durability == Durability::Sync {
                outcome = self.log.sync();
            }
        }
        if let Err(error) = outcome {
            // A full disk is a full outbox: the log goes on as soon as there is room.
            if self.log.failure().is_some() {
                self.failure = Some(error.to_string().into());
            }
            return false;
        }
        self.failure.is_none()
    }

    fn forgotten(&mut self, key: Key, message: &Publish) {
        if !self.is_kept(message) {
            return;
        }
        let own = self.memory.take_key();
        // A removal that cannot be written is a message that arrives twice.
        self.append(own, |body| Entry::encode_removed(key, body));
        self.removals += 1;
        if self.removals >= TRIM_EVERY || self.memory.is_empty() {
            self.removals = 0;
            self.trim();
        }
    }

    fn trim(&mut self) {
        let oldest = self
            .memory
            .oldest_key()
            .unwrap_or_else(|| self.log.next_seq());
        // A file that cannot be removed now is removed another time.
        let _ = self.log.trim(oldest);
    }

    fn is_kept(&self, message: &Publish) -> bool {
        message.qos != Qos::AtMostOnce || self.qos0 == KeepQos0::OnDisk
    }
}

impl Outbox for DiskOutbox {
    fn push(&mut self, now: Time, message: Publish) -> Result<Key, Publish> {
        if self.failure.is_some() {
            return Err(message);
        }
        let is_kept = self.is_kept(&message);
        let key = self.memory.push(now, message)?;
        if !is_kept {
            return Ok(key);
        }
        let Some((message, expires_at)) = self.memory.entry(key) else {
            return Ok(key);
        };
        let message = message.clone();
        let left = expires_at.map(|at| at.as_duration().saturating_sub(now.as_duration()));
        let expires_at_ms = left.map(|left| {
            unix_ms().saturating_add(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
        });
        if self.append(key, |body| {
            Entry::encode_accepted(&message, expires_at_ms, body);
        }) {
            return Ok(key);
        }
        self.memory.remove(key);
        Err(message)
    }

    fn next_qos(&self) -> Option<Qos> {
        self.memory.next_qos()
    }

    fn hand_out(&mut self) -> Option<(Key, Publish)> {
        self.memory.hand_out()
    }

    fn take_back(&mut self, key: Key) {
        self.memory.take_back(key);
    }

    fn remove(&mut self, key: Key) -> Option<Publish> {
        let message = self.memory.remove(key)?;
        self.forgotten(key, &message);
        Some(message)
    }

    fn drop_oldest(&mut self) -> Option<(Key, Publish)> {
        let (key, message) = self.memory.drop_oldest()?;
        self.forgotten(key, &message);
        Some((key, message))
    }

    fn drop_expired(&mut self, now: Time) -> Option<(Key, Publish)> {
        let (key, message) = self.memory.drop_expired(now)?;
        self.forgotten(key, &message);
        Some((key, message))
    }

    fn len(&self) -> usize {
        self.memory.len()
    }

    fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What is in it; it stays on the disk for the next process.
    fn drain(&mut self) -> Vec<(Key, Publish)> {
        let _ = self.log.sync();
        self.memory.drain()
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// One record: a tag, then little-endian numbers and counted bytes.
enum Entry {
    Accepted {
        message: Publish,
        expires_at_ms: Option<u64>,
    },
    Removed(Key),
}

const ACCEPTED: u8 = 1;
const REMOVED: u8 = 2;
const RETAIN: u8 = 4;
/// Stands for a message that does not expire.
const NEVER: u64 = u64::MAX;

impl Entry {
    fn encode_accepted(message: &Publish, expires_at_ms: Option<u64>, body: &mut Vec<u8>) {
        let retain = if message.retain { RETAIN } else { 0 };
        body.push(ACCEPTED);
        body.push(message.qos as u8 | retain);
        body.extend_from_slice(&expires_at_ms.unwrap_or(NEVER).to_le_bytes());
        for part in [message.topic.as_bytes(), message.properties.as_bytes()] {
            // A topic has at most 65,535 bytes, and what a packet cannot carry was refused before.
            body.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            body.extend_from_slice(part);
        }
        body.extend_from_slice(&message.payload);
    }

    fn encode_removed(key: Key, body: &mut Vec<u8>) {
        body.push(REMOVED);
        body.extend_from_slice(&key.to_le_bytes());
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (tag, rest) = body.split_first()?;
        match *tag {
            REMOVED => Some(Self::Removed(u64::from_le_bytes(rest.try_into().ok()?))),
            ACCEPTED => Self::decode_accepted(rest),
            _ => None,
        }
    }

    fn decode_accepted(body: &[u8]) -> Option<Self> {
        let (flags, rest) = body.split_first()?;
        let (expires, rest) = rest.split_at_checked(8)?;
        let (topic, rest) = counted(rest)?;
        let (properties, payload) = counted(rest)?;
        let properties = Properties::from_bytes(properties, Carrier::PublishFromClient).ok()?;
        let qos = match flags & 3 {
            0 => Qos::AtMostOnce,
            1 => Qos::AtLeastOnce,
            2 => Qos::ExactlyOnce,
            _ => return None,
        };
        let mut message = Publish::new(std::str::from_utf8(topic).ok()?, payload.to_vec())
            .qos(qos)
            .properties(&properties);
        if flags & RETAIN != 0 {
            message = message.retained();
        }
        let expires = u64::from_le_bytes(expires.try_into().ok()?);
        Some(Self::Accepted {
            message,
            expires_at_ms: (expires != NEVER).then_some(expires),
        })
    }
}

fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

#[derive(Debug)]
enum Fault {
    Io(io::Error),
    Open(OpenError),
}

/// Why an outbox cannot be opened.
#[derive(Clone, Debug)]
pub struct DiskOutboxError(Box<str>);

impl DiskOutboxError {
    fn of(folder: &Path, error: &io::Error) -> Self {
        let folder = folder.display();
        Self(match error.kind() {
            io::ErrorKind::WouldBlock => {
                format!("the outbox {folder} is in use by another client; give each its own folder")
                    .into()
            }
            _ => format!(
                "the outbox {folder} cannot be opened: {error}; check the path and its permissions"
            )
            .into(),
        })
    }
}

impl fmt::Display for DiskOutboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DiskOutboxError {}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewire_log::{Crash, SimFiles};

    fn open(disk: &SimFiles) -> DiskOutbox {
        DiskOutbox::open_on(Arc::new(disk.clone()), OutboxLimits::default()).expect("opened")
    }

    fn message(number: u32) -> Publish {
        Publish::new("t", number.to_string())
            .qos(Qos::ExactlyOnce)
            .user_property("k", "v")
    }

    fn payloads(outbox: &mut DiskOutbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.hand_out())
            .map(|(_, message)| String::from_utf8_lossy(message.payload()).into_owned())
            .collect()
    }

    #[test]
    fn what_was_not_removed_is_there_again_in_order() {
        let disk = SimFiles::new(1);
        let mut outbox = open(&disk);
        let keys: Vec<Key> = (0..5)
            .map(|number| outbox.push(Time::ZERO, message(number)).expect("room"))
            .collect();
        outbox.hand_out();
        outbox.hand_out();
        outbox.remove(keys[1]);
        drop(outbox);
        let mut outbox = open(&disk);
        assert_eq!(outbox.len(), 4);
        let later = outbox.push(Time::ZERO, message(9)).expect("room");
        assert!(later > keys[4]);
        assert_eq!(payloads(&mut outbox), ["0", "2", "3", "4", "9"]);
    }

    #[test]
    fn message_comes_back_as_it_was() {
        let disk = SimFiles::new(1);
        let given = message(1).retained().content_type("text/plain");
        open(&disk).push(Time::ZERO, given.clone()).expect("room");
        assert_eq!(
            open(&disk).hand_out().map(|(_, message)| message),
            Some(given)
        );
    }

    #[test]
    fn synced_outbox_survives_a_power_loss() {
        let disk = SimFiles::new(1);
        let mut outbox = open(&disk).durability(Durability::Sync);
        outbox.push(Time::ZERO, message(1)).expect("room");
        drop(outbox);
        disk.crash(Crash::ForgetAll);
        assert_eq!(payloads(&mut open(&disk)), ["1"]);
    }

    #[test]
    fn qos_0_may_stay_in_memory() {
        let disk = SimFiles::new(1);
        let mut outbox = open(&disk).qos0(KeepQos0::InMemory);
        outbox
            .push(Time::ZERO, Publish::new("t", "a"))
            .expect("room");
        outbox.push(Time::ZERO, message(1)).expect("room");
        assert_eq!(outbox.len(), 2);
        drop(outbox);
        assert_eq!(payloads(&mut open(&disk)), ["1"]);
    }

    #[test]
    fn space_is_given_back() {
        let disk = SimFiles::new(1);
        let mut outbox = open(&disk);
        for _ in 0..40 {
            let large = Publish::new("t", vec![0_u8; 1_000_000]).qos(Qos::AtLeastOnce);
            let key = outbox.push(Time::ZERO, large).expect("room");
            outbox.hand_out();
            outbox.remove(key);
        }
        let used = disk.used_bytes();
        assert!(used < 3 * SEGMENT_BYTES, "{used} bytes for nothing");
    }

    #[test]
    fn time_goes_on_while_nobody_has_it_open() {
        let disk = SimFiles::new(1);
        let mut outbox = open(&disk);
        let short = message(1).expires_after(Duration::ZERO);
        outbox.push(Time::ZERO, short).expect("room");
        drop(outbox);
        let mut outbox = open(&disk);
        let dropped = outbox.drop_expired(Time::from_millis(1));
        assert_eq!(
            dropped.map(|(_, message)| message.payload().clone()),
            Some("1".into())
        );
    }

    #[test]
    fn record_that_is_cut_or_unknown_is_none() {
        let mut body = Vec::new();
        Entry::encode_accepted(&message(1), Some(5), &mut body);
        // The payload is the only part that may be shorter.
        for end in 0..body.len() - 1 {
            assert!(Entry::decode(&body[..end]).is_none(), "{end}");
        }
        assert!(Entry::decode(&[9, 1, 2]).is_none());
    }
}
