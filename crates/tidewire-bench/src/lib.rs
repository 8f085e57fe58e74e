//! Load for MQTT brokers that checks every message, and comparisons that anyone can repeat.
//!
//! # What is measured
//! The primary figure is the **broker process's CPU per delivered message**: user and system time of all its threads,
//! from the process's CPU clock (nanoseconds), read before and after the timed part and divided by the messages that
//! arrived. It holds on a noisy machine where wall-clock rates do not. Both readings are taken while nothing is under
//! way: the load warms up, drains, is timed, and drains again. User time alone comes from clock ticks of 10 ms and is
//! reported for information, as are the generator's own CPU, latency where the load follows a schedule, and, in a
//! repetition of its own, system calls per message (`strace -c -f`).
//!
//! # What makes a run void
//! Each payload begins with its publisher, a number of the run, and a sequence number ([`payload`]). A message that is
//! lost, delivered twice, delivered after a later one of the same publisher to the same subscriber, delivered to
//! somebody else or at another QoS, or refused by a reason code, voids the run: it is reported as void and has no
//! figure ([`sequence`]). A load in which nothing moves for `--stall` seconds has lost what is missing.
//!
//! # What keeps the generator out of the way
//! One thread, edge-triggered readiness, packets encoded once (sending one means writing its number into it), half a
//! window in one write, one 256 KiB read buffer, an incremental scanner that allocates nothing per packet and keeps no
//! payload ([`frame`]). Compare with `raw`, a forwarder without MQTT: what it and the generator cost is the floor of
//! socket I/O on the machine. In a report, the generator's CPU ought to be below the broker's; where a broker comes near
//! the raw forwarder the two are alike, since each message is written and read once by either.
//!
//! On a schedule (`open-loop`) latency counts from the moment a message ought to have been sent, so a broker that
//! stalls cannot hide the messages it delayed ([`latency`]).
//!
//! # Repeating it
//! ```text
//! cargo build --profile dist -p tidewire -p tidewire-bench
//! target/dist/tidewire-bench compare --b mosquitto --b raw --scenarios gate --rounds 5 --json figures.json
//! target/dist/tidewire-bench compare --b mosquitto --scenarios 1to1-sparse --rounds 1 --syscalls
//! target/dist/tidewire-bench run --pid PID --addr 127.0.0.1:1883 --scenario 1to1-batch --qos 1 --mqtt 5
//! target/dist/tidewire-bench list
//! ```
//! `compare` starts each broker by itself on a free loopback port, in turns (A B A B), one at a time, and stops it again
//! whatever happens; ratios are medians of the rounds' ratios. Debian's mosquitto and rumqttd are fetched if missing.
//! `idle-19k` needs a hard limit of open files of about 19,100; the soft limit is raised to the hard one.
//!
//! All brokers are configured in the same spirit: one listener on loopback, anonymous clients, everything in memory,
//! limits on queued and unacknowledged messages above what a window can reach (mosquitto: `max_queued_messages 0`,
//! `max_inflight_messages 0`; rumqttd: 1,000 in flight), only warnings in the log. Worker count, socket options and all
//! else are each broker's defaults. An MQTT 5 broker's Receive Maximum is respected.
//!
//! # Layers
//! [`scenario`] is data: who connects, what goes where, how it is paced. [`engine`] runs one scenario against an address
//! and knows nothing of processes. [`probe`] reads the operating system. [`measure`](mod@measure) joins the two. [`peer`]
//! finds, fetches, starts and stops brokers; [`compare`] takes turns; [`report`] prints; [`cli`] is the command line, a
//! module so that another program can carry it.
//!
//! # Known limits
//! CPU, memory and system calls of a process are read on Linux only. User time has the grain of clock ticks. A scenario's
//! set-up is not timed. The generator is one thread: a broker that needs more than one core's worth of load to be busy is
//! still measured rightly per message, but not driven to its highest rate.
//!
//! ```
//! use tidewire_bench::sequence::{Faults, PairCheck};
//!
//! let (mut check, mut faults) = (PairCheck::default(), Faults::default());
//! for sequence in [0, 1, 3] {
//!     check.accept(sequence, &mut faults);
//! }
//! check.finish(4, &mut faults);
//! assert_eq!(faults.to_string(), "1 lost");
//! ```

pub mod cli;
pub mod compare;
pub mod encode;
pub mod engine;
pub mod error;
pub mod frame;
pub mod latency;
pub mod measure;
pub mod payload;
pub mod peer;
pub mod probe;
pub mod raw;
pub mod report;
pub mod scenario;
pub mod sequence;
pub mod stats;
