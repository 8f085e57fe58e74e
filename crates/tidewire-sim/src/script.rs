//! From a seed to the acts of a life.

use crate::act::{Act, CLIENTS, Connect, Crash, FILTERS, Publish, TOPICS, Topic, What, Will};
use crate::random::Random;
use tidewire_broker::Settings;
use tidewire_broker::simulated::Pieces;
use tidewire_codec::{Qos, RetainHandling, Version};
use tidewire_core::Limits;

const ACTS: usize = 160;

/// A life before it is lived.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) workers: usize,
    pub(crate) pieces: Pieces,
    pub(crate) room: Room,
    pub(crate) storage: Storage,
    pub(crate) acts: Vec<Act>,
}

/// Where what is owed is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Storage {
    /// In memory.
    #[default]
    Memory,
    /// On a disk, so that the broker may crash.
    Disk,
}

/// How much room the limits leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    /// Nothing has to be dropped.
    Ample,
    /// Queues are so short that messages are dropped.
    Tight,
}

/// Messages that wait for a session where room is [`Room::Tight`].
pub(crate) const TIGHT_QUEUE: u32 = 4;

impl Script {
    pub(crate) fn new(seed: u64, storage: Storage) -> Self {
        let mut random = Random::new(seed);
        let workers = random.one_of(&[1, 2, 3, 4]);
        let pieces = random.one_of(&[
            Pieces::Whole,
            Pieces::Whole,
            Pieces::Seeded,
            Pieces::Seeded,
            Pieces::Seeded,
            Pieces::Bytes,
        ]);
        let room = if random.one_in(6) {
            Room::Tight
        } else {
            Room::Ample
        };
        // Not all lives are alike: in some there are many cuts, in others many stalls.
        let moods = std::array::from_fn(|_| random.one_of(&[0, 1, 1, 2, 4]));
        let mut writer = Writer {
            random,
            workers,
            moods,
            storage,
        };
        let acts = (0..ACTS).map(|_| writer.act()).collect();
        Self {
            seed,
            workers,
            pieces,
            room,
            storage,
            acts,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut limits = Limits {
            max_inflight_messages: 5,
            ..Limits::default()
        };
        if self.room == Room::Tight {
            limits.max_queued_messages = TIGHT_QUEUE;
        }
        Settings {
            workers: self.workers,
            limits,
            sys_interval_secs: 0,
            ..Settings::default()
        }
    }
}

struct Writer {
    random: Random,
    workers: usize,
    moods: [usize; KINDS.len() - DISK_KINDS],
    storage: Storage,
}

type Make = fn(&mut Writer) -> What;

/// What can happen, and how often.
const KINDS: [(usize, Make); 13] = [
    (6, |w| What::Connect(w.connect())),
    (2, |w| What::Disconnect {
        who: w.who(),
        with_will: w.random.one_in(4),
    }),
    (4, |w| What::Cut {
        who: w.who(),
        part: w.random.below(256) as u8,
    }),
    (6, Writer::subscribe),
    (2, |w| What::Unsubscribe {
        who: w.who(),
        filter: w.random.below(FILTERS.len()),
    }),
    (30, |w| What::Publish(w.publish())),
    (8, |w| What::Answer {
        who: w.who(),
        count: 1 + w.random.below(8),
    }),
    (3, |w| What::Read {
        who: w.who(),
        reads: w.random.one_in(2),
    }),
    (3, |w| What::Stall {
        worker: w.random.below(w.workers),
        stalled: w.random.one_in(2),
    }),
    (3, |_| What::Rest),
    (3, Writer::advance),
    (4, |w| {
        What::Crash(w.random.one_of(&[
            Crash::Process,
            Crash::ForgetAll,
            Crash::TearInOrder,
            Crash::TearAnyOrder,
        ]))
    }),
    (4, |w| What::StallDisk {
        stalled: w.random.one_in(2),
    }),
];

/// So many at the end of [`KINDS`] need a disk.
const DISK_KINDS: usize = 2;

impl Writer {
    fn act(&mut self) -> Act {
        // Somebody has to be there, whatever the mood.
        let on_disk = usize::from(self.storage == Storage::Disk);
        let weight = |at: usize, base: usize, moods: &[usize]| match at {
            0 | 3 | 5 | 9 => base * 2,
            _ => base * moods.get(at).copied().unwrap_or(on_disk),
        };
        let total = (0..KINDS.len())
            .map(|at| weight(at, KINDS[at].0, &self.moods))
            .sum();
        let mut left = self.random.below(total);
        let mut chosen = 0;
        for (at, (base, _)) in KINDS.iter().enumerate() {
            let weight = weight(at, *base, &self.moods);
            if left < weight {
                chosen = at;
                break;
            }
            left -= weight;
        }
        let steps = self.random.one_of(&[0, 0, 1, 3, 10, 40, 150]);
        Act {
            what: KINDS[chosen].1(self),
            steps,
        }
    }

    fn who(&mut self) -> usize {
        self.random.below(CLIENTS)
    }

    fn qos(&mut self) -> Qos {
        self.random
            .one_of(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
    }

    fn connect(&mut self) -> Connect {
        let version = self
            .random
            .one_of(&[Version::V31, Version::V311, Version::V5, Version::V5]);
        let clean_start = self.random.one_in(5);
        let expiry_secs = match version {
            Version::V5 => self.random.one_of(&[0, 30, 1_000, 1_000, u32::MAX]),
            _ if clean_start => 0,
            _ => u32::MAX,
        };
        let will = self.random.one_in(2).then(|| Will {
            qos: self.qos(),
            delay_secs: if version.is_v5() {
                self.random.one_of(&[0, 0, 5, 60])
            } else {
                0
            },
        });
        Connect {
            who: self.who(),
            version,
            clean_start,
            expiry_secs,
            keep_alive_secs: self.random.one_of(&[0, 0, 0, 10]),
            receive_maximum: self.random.one_of(&[1, 2, 3, 10, u16::MAX]),
            alias_maximum: self.random.one_of(&[0, 2]),
            will,
        }
    }

    fn subscribe(&mut self) -> What {
        What::Subscribe {
            who: self.who(),
            filter: self.random.below(FILTERS.len()),
            qos: self.random.one_of(&[
                Qos::AtMostOnce,
                Qos::AtLeastOnce,
                Qos::ExactlyOnce,
                Qos::ExactlyOnce,
            ]),
            no_local: self.random.one_in(4),
            retain_handling: self.random.one_of(&[
                RetainHandling::SendAlways,
                RetainHandling::SendAlways,
                RetainHandling::SendIfNew,
                RetainHandling::DoNotSend,
            ]),
        }
    }

    fn publish(&mut self) -> Publish {
        let topic = if self.random.one_in(5) {
            Topic::Retained {
                empty: self.random.one_in(4),
            }
        } else {
            Topic::Common(self.random.below(TOPICS.len()))
        };
        Publish {
            who: self.who(),
            topic,
            qos: self.qos(),
            padding: self.random.one_of(&[0, 0, 0, 0, 100, 2_000, 20_000]),
            expiry_secs: self.random.one_in(8).then(|| self.random.one_of(&[1, 100])),
            alias: self.random.one_in(3),
        }
    }

    fn advance(&mut self) -> What {
        let millis = self
            .random
            .one_of(&[20, 1_500, 7_000, 31_000, 65_000, 400_000]);
        What::Advance {
            millis: millis + self.random.below(1_000) as u64,
        }
    }
}
