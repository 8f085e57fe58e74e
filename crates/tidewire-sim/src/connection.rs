//! Connections: CONNECT, the three ways in which they end, and what that means for sessions and wills.

use crate::act::{Connect, Publish, Topic};
use crate::failure::{Oracle, Verdict, fail};
use crate::lie::Lie;
use crate::life::{Life, WATCHER};
use crate::model::{Link, Session, end_of};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tidewire_broker::simulated::SimClient;
use tidewire_codec::{
    Ack, ConnAck, Disconnect, Packet, Properties, Property, Qos, ReasonCode, RetainHandling,
    Version, Will,
};
use tidewire_core::Time;

/// Silence after which the broker must have ended a connection, in tenths of its keep-alive; it has up to 15.
const KEEP_ALIVE_OVER_TENTHS: u64 = 15;

impl Life {
    pub(crate) fn seat_watcher(&mut self) -> Verdict {
        self.connect(&Connect {
            who: WATCHER,
            version: Version::V5,
            clean_start: true,
            expiry_secs: u32::MAX,
            keep_alive_secs: 0,
            receive_maximum: u16::MAX,
            alias_maximum: 0,
            will: None,
        })?;
        self.settle()?;
        // The watcher's filter is none of the common ones.
        let packet = Packet::Subscribe(tidewire_codec::Subscribe {
            packet_id: tidewire_codec::PacketId::MIN,
            properties: Properties::EMPTY,
            filters: vec![tidewire_codec::Subscription {
                filter: "will/+".into(),
                options: tidewire_codec::SubscriptionOptions {
                    qos: Qos::ExactlyOnce,
                    ..Default::default()
                },
            }],
        });
        self.send(WATCHER, &packet)?;
        self.settle()
    }

    /// Connects, or takes over from the client's own older connection.
    pub(crate) fn connect(&mut self, wanted: &Connect) -> Verdict {
        let who = wanted.who;
        let mut connect = wanted.clone();
        let is_coming = self.clients[who]
            .link
            .as_ref()
            .is_some_and(|link| !link.admitted);
        if is_coming || self.clients[who].is_unheard {
            // Two CONNECTs of one client at once: which of them is the later one only the broker would know.
            self.release_all();
            self.read(who, true);
            self.settle()?;
            self.clients[who].is_unheard = false;
        }
        let may_expire = self.clients[who]
            .session
            .as_ref()
            .and_then(|session| session.away);
        let may_expire = may_expire.is_some_and(|away| away.stays != Time::NEVER);
        // MQTT 3.1 does not tell whether there was a session: it must be certain.
        let cannot_tell = connect.version == Version::V31 && may_expire;
        if (self.clients[who].in_doubt || cannot_tell) && !connect.clean_start {
            connect.clean_start = true;
            if !connect.version.is_v5() {
                connect.expiry_secs = 0;
            }
            self.note(format!(
                "{who} does not know what the broker has and starts clean"
            ));
        }
        self.count_connect(&connect);
        let stale = self.leave_for_takeover(&connect);
        let will = connect.will.as_ref().map(|_| self.next_will());
        let packet = connect_packet(
            &self.clients[who].name,
            &connect,
            will,
            self.is_always(Lie::IgnoresReceiveMaximum),
        );
        let (now, wire) = (self.now(), self.sim.connect());
        self.clients[who].link = Some(Link {
            wire,
            connect: connect.clone(),
            admitted: false,
            opened: now,
            last_sent: now,
            silence: None,
            buffer: Vec::new(),
            answers: VecDeque::new(),
            unanswered: BTreeSet::new(),
            aliases: BTreeMap::new(),
            own_aliases: Vec::new(),
            reads: true,
            will,
            requests: VecDeque::new(),
            stale,
        });
        if let (Some(number), Some(will)) = (will, &connect.will) {
            let delay_secs = will.delay_secs.min(connect.expiry_secs);
            self.wills.arm(number, who, delay_secs);
        }
        self.send(who, &packet)
    }

    fn count_connect(&mut self, connect: &Connect) {
        self.coverage.saw(match connect.version {
            Version::V31 => "connected with MQTT 3.1",
            Version::V311 => "connected with MQTT 3.1.1",
            Version::V5 => "connected with MQTT 5.0",
        });
        self.coverage
            .saw_if("connected with clean start", connect.clean_start);
    }

    /// The client's older connection, if there is one, ends by this CONNECT.
    fn leave_for_takeover(&mut self, connect: &Connect) -> Option<SimClient> {
        let who = connect.who;
        let now = self.now();
        let Some(link) = self.clients[who].link.take() else {
            self.wills.returns(who, connect.clean_start, now);
            return None;
        };
        self.coverage.saw("session taken over");
        let late = self.sim.on_the_way(link.wire) > 0;
        self.coverage.saw_if(
            "took over while the old connection had bytes on the way",
            late,
        );
        self.sim.take_received(link.wire);
        self.sim.stop_reading(link.wire);
        if let Some(will) = link.will {
            let ends_session = connect.clean_start || link.connect.expiry_secs == 0;
            self.wills
                .taken_over(will, link.admitted, ends_session, now);
        }
        // The broker may end the old connection by itself before it hears of the new one.
        let stays = link.admitted
            && link.connect.keep_alive_secs == 0
            // The new connection may have to wait for the disk, and the session's time goes on.
            && self.machine.disk.is_none();
        self.end_link(who, &link);
        if let Some(session) = self.clients[who].session.as_mut().filter(|_| stays) {
            session.away = None;
        }
        if let Some(then) = link.silent_since(now).filter(|_| link.admitted) {
            self.ended_since(who, &link, then);
            self.wills.returns(who, connect.clean_start, now);
        }
        Some(link.wire)
    }

    /// What the end of a connection means for the session.
    fn end_link(&mut self, who: usize, link: &Link) {
        let now = self.now();
        let client = &mut self.clients[who];
        if !link.admitted {
            client.is_unheard = true;
            self.coverage.saw("cut off before CONNACK");
            self.wills.not_admitted(who);
            // Whichever of the two the broker has, it goes.
            if let Some(stale) = link.stale {
                self.sim.cut(stale, 0);
            }
            let same = client
                .session
                .as_ref()
                .is_some_and(|session| session.expiry_secs == link.connect.expiry_secs);
            // Whether it was admitted is not known.
            if link.connect.clean_start || !same {
                client.in_doubt = true;
                if let Some(session) = &mut client.session {
                    session.forgive(|_| true);
                }
                self.forgive_groups(who);
            } else if let Some(session) = &mut client.session {
                session.leave(now);
            }
            return;
        }
        if link.connect.expiry_secs == 0 {
            client.session = None;
            self.forgive_groups(who);
        } else if let Some(session) = &mut client.session {
            session.leave(now);
            // What waits at QoS 0 goes with the connection.
            for owed in session.owed.values_mut() {
                owed.optional |= owed.least == Qos::AtMostOnce;
            }
        }
    }

    pub(crate) fn disconnect(&mut self, who: usize, with_will: bool) -> Verdict {
        let v5 = self.clients[who].version().is_v5();
        let reason = if with_will && v5 {
            ReasonCode::DisconnectWithWill
        } else {
            ReasonCode::Success
        };
        if self.is_always(Lie::PublishesWillsAnyway) {
            let will = self.clients[who].link.as_ref().and_then(|link| link.will);
            self.cut(who, 0)?;
            if let Some(will) = will {
                self.wills.given_up(will);
            }
            return Ok(());
        }
        if self.clients[who].is_admitted() {
            self.send(who, &Packet::Disconnect(Disconnect::with_reason(reason)))?;
        }
        let Some(link) = self.clients[who].link.take() else {
            return Ok(());
        };
        self.sim.close(link.wire);
        self.sim.stop_reading(link.wire);
        self.sim.take_received(link.wire);
        let now = self.now();
        if let Some(will) = link.will {
            if !link.admitted {
                self.wills.is_open(will);
            } else if reason == ReasonCode::Success {
                self.coverage.saw("will cancelled by DISCONNECT");
                self.wills.given_up(will);
            } else {
                self.coverage.saw("will sent by DISCONNECT with will");
                self.wills.lost(will, now);
            }
        }
        self.end_link(who, &link);
        Ok(())
    }

    pub(crate) fn cut(&mut self, who: usize, part: u8) -> Verdict {
        let Some(link) = self.clients[who].link.take() else {
            return Ok(());
        };
        let on_the_way = self.sim.on_the_way(link.wire);
        let keep = on_the_way * usize::from(part) / 255;
        self.coverage.saw_if(
            "cut off in the middle of a packet",
            keep > 0 && keep < on_the_way,
        );
        let silent_since = link.silent_since(self.now());
        self.sim.cut(link.wire, keep);
        self.ended_by_itself(who, &link);
        // A client that has stopped reading does not hear that its keep alive is over.
        if let Some(then) = silent_since.filter(|_| link.admitted) {
            self.ended_since(who, &link, then);
        }
        Ok(())
    }

    /// The connection has ended without DISCONNECT.
    pub(crate) fn ended_by_itself(&mut self, who: usize, link: &Link) {
        let now = self.now();
        if let Some(will) = link.will {
            if link.admitted {
                self.wills.lost(will, now);
            } else {
                self.wills.is_open(will);
            }
        }
        self.end_link(who, link);
    }

    /// A client whose session may be there connects and resumes it.
    pub(crate) fn come_back(&mut self, who: usize) -> Verdict {
        let away = self.clients[who].link.is_none() && self.clients[who].session.is_some();
        if !away || self.clients[who].in_doubt {
            return Ok(());
        }
        self.done.push(format!("{who} comes back"));
        self.connect(&Connect {
            who,
            version: Version::V5,
            clean_start: false,
            expiry_secs: u32::MAX,
            keep_alive_secs: 0,
            receive_maximum: u16::MAX,
            alias_maximum: 0,
            will: None,
        })
    }

    pub(crate) fn hear_connack(&mut self, who: usize, connack: &ConnAck<'_>) -> Verdict {
        let lies = connack.reason == ReasonCode::Success && self.lies(Lie::InventsSessions);
        let now = self.now();
        let Some(link) = self.clients[who].link.as_mut() else {
            return Ok(());
        };
        if link.admitted || connack.reason != ReasonCode::Success {
            return fail(Oracle::Protocol, format!("{who} got {connack:?}"));
        }
        link.admitted = true;
        let (connect, sent) = (link.connect.clone(), link.opened);
        let (may_stay, may_go) = self.session_expected(who, &connect, sent);
        let mut present = connack.session_present || lies;
        if connect.version == Version::V31 {
            // It has no way to tell; a session in doubt is not resumed with it.
            present = may_stay && !may_go;
        }
        if present && !may_stay || !present && !may_go {
            return fail(
                Oracle::SessionPresent,
                format!(
                    "{who} was told session present {present} at {} ms",
                    now.as_millis()
                ),
            );
        }
        self.coverage.saw_if("session resumed", present);
        self.wills.admitted(who, now);
        let client = &mut self.clients[who];
        client.in_doubt = false;
        if !present {
            client.session = Some(Session::new(connect.expiry_secs, connect.version));
            client.unacknowledged.clear();
            client.held.clear();
            self.forgive_groups(who);
            return Ok(());
        }
        if let Some(session) = &mut client.session {
            let other = session
                .version
                .is_some_and(|version| version != connect.version);
            self.coverage.saw_if("resumed by another version", other);
            session.version = Some(connect.version);
            session.expiry_secs = connect.expiry_secs;
            session.away = None;
        }
        self.repeat_unacknowledged(who)
    }

    /// Whether the session may be there, and whether it may be gone.
    fn session_expected(&self, who: usize, connect: &Connect, sent: Time) -> (bool, bool) {
        let client = &self.clients[who];
        if connect.clean_start {
            return (false, true);
        }
        match client.session.as_ref().map(|session| session.away) {
            None => (false, true),
            Some(None) => (true, false),
            Some(Some(away)) => (away.gone > sent, away.stays < self.now()),
        }
    }

    fn repeat_unacknowledged(&mut self, who: usize) -> Verdict {
        for own in self.clients[who].unacknowledged.clone() {
            let Some(id) = own.publish.packet_id else {
                continue;
            };
            if own.released {
                self.coverage.saw("PUBREL repeated after resumption");
                self.send(who, &Packet::PubRel(Ack::success(id)))?;
                continue;
            }
            self.coverage.saw("publish repeated after resumption");
            let mut publish = own.publish;
            publish.dup = true;
            if let Some(sent) = self.messages.get_mut(&own.number) {
                sent.times += 1;
                let topic = sent.topic.clone();
                self.retained.repeat(&topic, own.number);
            }
            self.send(who, &Packet::Publish(publish))?;
        }
        Ok(())
    }

    /// The broker has ended a connection: that must have a reason.
    pub(crate) fn hear_end(&mut self, who: usize, told: Option<ReasonCode>) -> Verdict {
        let now = self.now();
        let Some(link) = self.clients[who].link.take() else {
            return Ok(());
        };
        let silent_since = link.silent_since(now);
        let connect_is_over = !link.admitted && now.since(link.opened).as_secs() >= 10;
        if silent_since.is_none() && !connect_is_over {
            return fail(
                Oracle::Protocol,
                format!("{who} was closed with {told:?} and no reason"),
            );
        }
        self.coverage
            .saw_if("keep alive ran out", silent_since.is_some());
        self.note(format!("{who} was silent for too long"));
        self.ended_by_itself(who, &link);
        self.ended_since(who, &link, silent_since.unwrap_or(link.last_sent));
        Ok(())
    }

    /// The broker may have ended a connection earlier than its client hears of it.
    fn ended_since(&mut self, who: usize, link: &Link, then: Time) {
        if let Some(will) = link.will {
            self.wills.lost(will, then);
        }
        let session = self.clients[who].session.as_mut();
        if let Some(away) = session.and_then(|session| session.away.as_mut()) {
            away.stays = away.stays.min(end_of(then, link.connect.expiry_secs));
        }
    }

    /// Who was silent for longer than it may be is not connected any more.
    pub(crate) fn check_keep_alives(&mut self) -> Verdict {
        let now = self.now();
        for (who, client) in self.clients.iter().enumerate() {
            let Some(link) = client
                .link
                .as_ref()
                .filter(|link| link.admitted && link.reads)
            else {
                continue;
            };
            let silent = now.since(link.last_sent.max(self.released)).as_millis() as u64;
            let keep_alive = u64::from(link.connect.keep_alive_secs);
            let over = keep_alive * KEEP_ALIVE_OVER_TENTHS * 100 + 6_000;
            if keep_alive > 0 && silent > over && !self.any_stalled() {
                return fail(
                    Oracle::Protocol,
                    format!("{who} is silent for {silent} ms and still connected"),
                );
            }
        }
        Ok(())
    }

    pub(crate) fn next_will(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// An ordinary message to the publisher's own retained topic.
    pub(crate) fn is_retained(publish: &Publish) -> bool {
        matches!(publish.topic, Topic::Retained { .. })
    }

    pub(crate) fn retain_handling_of(v5: bool, wanted: RetainHandling) -> RetainHandling {
        if v5 {
            wanted
        } else {
            RetainHandling::SendAlways
        }
    }
}

fn connect_packet(
    name: &str,
    connect: &Connect,
    will: Option<u64>,
    any_maximum: bool,
) -> Packet<'static> {
    let mut properties = Properties::EMPTY;
    let mut will_properties = Properties::EMPTY;
    if connect.version.is_v5() {
        let mut push = |property| {
            let _ = properties.push(property);
        };
        if connect.expiry_secs > 0 {
            push(Property::SessionExpiryInterval(connect.expiry_secs));
        }
        if connect.receive_maximum < u16::MAX && !any_maximum {
            push(Property::ReceiveMaximum(connect.receive_maximum));
        }
        if connect.alias_maximum > 0 {
            push(Property::TopicAliasMaximum(connect.alias_maximum));
        }
        if let Some(delay) = connect
            .will
            .as_ref()
            .map(|will| will.delay_secs)
            .filter(|secs| *secs > 0)
        {
            let _ = will_properties.push(Property::WillDelayInterval(delay));
        }
    }
    let will = connect.will.as_ref().zip(will).map(|(will, number)| Will {
        qos: will.qos,
        retain: false,
        properties: will_properties,
        topic: format!("will/{}", connect.who).into(),
        payload: number.to_string().into_bytes().into(),
    });
    Packet::Connect(tidewire_codec::Connect {
        version: connect.version,
        clean_start: connect.clean_start,
        keep_alive_secs: connect.keep_alive_secs,
        properties,
        client_id: name.to_owned().into(),
        will,
        username: None,
        password: None,
    })
}
