//! What happens in a life: a list of acts, made from a seed before it begins, so that it can be cut short.

use std::fmt;
use tidewire_codec::{Qos, RetainHandling, Version};

/// Clients that the acts are about; one more watches.
pub(crate) const CLIENTS: usize = 5;

/// Topics that everybody publishes to. Those that begin with `s/` are for shared groups.
pub(crate) const TOPICS: [&str; 6] = ["t/1", "t/2", "t/3/x", "s/1", "s/2", "u"];

/// Filters; the last two are shared.
pub(crate) const FILTERS: [&str; 12] = [
    "t/1",
    "t/+",
    "t/#",
    "+/2",
    "t/+/x",
    "r/+",
    "r/1",
    "u",
    "#",
    "+/#",
    "$share/g/s/+",
    "$share/h/s/1",
];

/// One act, and how many events follow before the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Act {
    pub(crate) what: What,
    pub(crate) steps: u16,
}

/// Something that a client, the network, the machine or the time does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum What {
    Connect(Connect),
    /// DISCONNECT and the end of the stream behind it.
    Disconnect {
        who: usize,
        with_will: bool,
    },
    /// The connection breaks; of what is on its way, a part of 256 arrives.
    Cut {
        who: usize,
        part: u8,
    },
    Subscribe {
        who: usize,
        filter: usize,
        qos: Qos,
        no_local: bool,
        retain_handling: RetainHandling,
    },
    Unsubscribe {
        who: usize,
        filter: usize,
    },
    Publish(Publish),
    /// The client sends acknowledgements that it has put off.
    Answer {
        who: usize,
        count: usize,
    },
    Read {
        who: usize,
        reads: bool,
    },
    Stall {
        worker: usize,
        stalled: bool,
    },
    /// Everything comes to rest, and the broker's figures are looked at.
    Rest,
    Advance {
        millis: u64,
    },
    /// The machine or the process stops at once and starts again.
    Crash(Crash),
    /// The disk gets no time: what was handed to it waits.
    StallDisk {
        stalled: bool,
    },
}

/// What a crash leaves of what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Crash {
    /// All: the process was killed.
    Process,
    /// Nothing: power was lost.
    ForgetAll,
    /// A part, up to somewhere in the middle of a write.
    TearInOrder,
    /// Parts, in no order.
    TearAnyOrder,
}

/// CONNECT, also where the client has a connection already.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Connect {
    pub(crate) who: usize,
    pub(crate) version: Version,
    pub(crate) clean_start: bool,
    /// 0 = the session ends with the connection. Before MQTT 5.0 every other value means for ever.
    pub(crate) expiry_secs: u32,
    pub(crate) keep_alive_secs: u16,
    pub(crate) receive_maximum: u16,
    pub(crate) alias_maximum: u16,
    pub(crate) will: Option<Will>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Will {
    pub(crate) qos: Qos,
    pub(crate) delay_secs: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Publish {
    pub(crate) who: usize,
    pub(crate) topic: Topic,
    pub(crate) qos: Qos,
    /// Bytes behind the number.
    pub(crate) padding: usize,
    pub(crate) expiry_secs: Option<u32>,
    pub(crate) alias: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Topic {
    /// One of [`TOPICS`].
    Common(usize),
    /// The publisher's own retained topic.
    Retained { empty: bool },
}

impl Topic {
    pub(crate) fn name(self, who: usize) -> String {
        match self {
            Topic::Common(at) => TOPICS[at].to_owned(),
            Topic::Retained { .. } => format!("r/{who}"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if self.steps > 0 {
            write!(f, "; {} events", self.steps)?;
        }
        Ok(())
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Connect(connect) => connect.fmt(f),
            What::Disconnect { who, with_will } => {
                write!(
                    f,
                    "{who} disconnects{}",
                    if *with_will { " with will" } else { "" }
                )
            }
            What::Cut { who, part } => write!(f, "{who} is cut off, {part}/256 arrives"),
            What::Subscribe {
                who,
                filter,
                qos,
                no_local,
                retain_handling,
            } => {
                let local = if *no_local { ", no local" } else { "" };
                write!(
                    f,
                    "{who} subscribes to {} at {qos:?}{local}, {retain_handling:?}",
                    FILTERS[*filter]
                )
            }
            What::Unsubscribe { who, filter } => {
                write!(f, "{who} unsubscribes from {}", FILTERS[*filter])
            }
            What::Publish(publish) => publish.fmt(f),
            What::Answer { who, count } => write!(f, "{who} sends up to {count} answers"),
            What::Read { who, reads: true } => write!(f, "{who} reads again"),
            What::Read { who, reads: false } => write!(f, "{who} stops reading"),
            What::Stall {
                worker,
                stalled: true,
            } => write!(f, "worker {worker} stalls"),
            What::Stall {
                worker,
                stalled: false,
            } => write!(f, "worker {worker} goes on"),
            What::Rest => f.write_str("all comes to rest"),
            What::Crash(crash) => write!(f, "crash: {crash:?}"),
            What::StallDisk { stalled: true } => f.write_str("the disk stalls"),
            What::StallDisk { stalled: false } => f.write_str("the disk goes on"),
            What::Advance { millis } => write!(f, "{millis} ms pass"),
        }
    }
}

impl fmt::Display for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            who,
            version,
            clean_start,
            expiry_secs,
            keep_alive_secs,
            receive_maximum,
            alias_maximum,
            will,
        } = self;
        write!(
            f,
            "{who} connects with {version}, clean start {clean_start}, expiry {expiry_secs} s, keep alive {keep_alive_secs} s, receive maximum {receive_maximum}, aliases {alias_maximum}"
        )?;
        match will {
            Some(Will { qos, delay_secs }) => write!(f, ", will at {qos:?} after {delay_secs} s"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            who,
            topic,
            qos,
            padding,
            expiry_secs,
            ..
        } = self;
        write!(
            f,
            "{who} publishes to {} at {qos:?}, {padding} bytes",
            topic.name(*who)
        )?;
        if *topic == (Topic::Retained { empty: true }) {
            f.write_str(", empty")?;
        }
        match expiry_secs {
            Some(secs) => write!(f, ", expires in {secs} s"),
            None => Ok(()),
        }
    }
}
