//! Plays a scenario against a broker.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tidewire_codec::{Packet, Qos, ReasonCode, Sender, Version, frame};
use tidewire_core::{
    Answer, Authenticated, AuthenticationStep, Command, Question, Reply, ServerPublish,
    TransportEnd,
};

use crate::net::{Asked, Chunks, Net, Plan};
use crate::script::{Scenario, Step};
use crate::setup::Setup;
use crate::words::{self, Said, Word};

/// The same conversation must go the same way with one worker and with several, however its bytes are cut.
const PLANS: [Plan; 5] = [
    Plan {
        workers: 1,
        seed: 1,
        chunks: Chunks::Whole,
    },
    Plan {
        workers: 1,
        seed: 2,
        chunks: Chunks::Cut,
    },
    Plan {
        workers: 3,
        seed: 3,
        chunks: Chunks::Whole,
    },
    Plan {
        workers: 3,
        seed: 4,
        chunks: Chunks::Cut,
    },
    Plan {
        workers: 4,
        seed: 5,
        chunks: Chunks::Whole,
    },
];

/// Something that a client has heard and the scenario has not spoken of yet.
#[derive(Debug)]
enum Heard {
    Packet { said: Said, bytes: Vec<u8> },
    Closed,
}

#[derive(Debug, Default)]
struct Client {
    link: Option<usize>,
    version: Option<Version>,
    /// What was sent before it was known which version is spoken.
    sent: Vec<u8>,
    inbox: VecDeque<Heard>,
}

/// `when asked to ...: ...`
struct Rule {
    about: String,
    pattern: Option<String>,
    answer: String,
}

struct Player {
    net: Net,
    clients: BTreeMap<String, Client>,
    rules: Vec<Rule>,
    held: VecDeque<Asked>,
    told: Vec<String>,
    /// Who `it` is: the one that `one of ...` found.
    it: Option<String>,
    next_id: u16,
}

/// Plays a scenario under every plan; an error tells the line, what was expected, what came and the whole conversation.
pub(crate) fn play(scenario: &Scenario) -> Result<(), String> {
    let mut setup = Setup::default();
    let (with, steps): (Vec<&Step>, Vec<&Step>) = scenario
        .steps
        .iter()
        .partition(|step| step.text.starts_with("with "));
    for step in with {
        let words = words::split(&step.text["with ".len()..])?;
        setup
            .apply(&words)
            .map_err(|error| format!("{}.scenario:{}: {error}", scenario.file, step.at))?;
    }
    if steps.is_empty() {
        return Err("a scenario without steps".into());
    }
    PLANS
        .iter()
        .filter(|plan| !setup.one_worker || plan.workers == 1)
        .try_for_each(|plan| play_once(scenario, &steps, *plan, &setup))
}

fn play_once(
    scenario: &Scenario,
    steps: &[&Step],
    plan: Plan,
    setup: &Setup,
) -> Result<(), String> {
    let mut player = Player {
        net: Net::new(plan, &setup.config),
        clients: BTreeMap::new(),
        rules: Vec::new(),
        held: VecDeque::new(),
        told: Vec::new(),
        it: None,
        next_id: 60_000,
    };
    for step in steps {
        player.told.push(format!("{:>4} | {}", step.at, step.text));
        let outcome = catch_unwind(AssertUnwindSafe(|| player.take_step(step)))
            .unwrap_or_else(|_| Err("the broker panicked".into()));
        outcome.map_err(|error| failure(scenario, step.at, plan, &error, &player.told))?;
    }
    let last = steps.last().map_or(0, |step| step.at);
    player
        .nothing_left()
        .map_err(|error| failure(scenario, last, plan, &error, &player.told))
}

fn failure(scenario: &Scenario, at: usize, plan: Plan, error: &str, told: &[String]) -> String {
    let told = told.join("\n");
    format!(
        "{}.scenario:{at}: {error}\nwith {plan:?}, after\n{told}\n",
        scenario.file
    )
}

impl Player {
    fn take_step(&mut self, step: &Step) -> Result<(), String> {
        let (first, rest) = step.text.split_once(' ').unwrap_or((&step.text, ""));
        if let Some(done) = self.expectation(first, rest, step) {
            return done;
        }
        // A whole exchange of a publisher's may stand before what others hear of it.
        if !rest.starts_with("delivers ") {
            self.nothing_left()?;
        }
        match first {
            "when" => self.add_rule(rest),
            "after" => {
                self.net.advance(duration(rest)?);
                self.listen()
            }
            "the" => self.server_step(rest),
            client => self.client_step(client, rest, step),
        }
    }

    /// A step that only looks at what came; `None` if it is of another kind.
    fn expectation(&mut self, first: &str, rest: &str, step: &Step) -> Option<Result<(), String>> {
        let (verb, what) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(match (first, verb) {
            ("stats", _) => self.expect_stats(rest),
            ("session", client) => self.expect_session(client, what),
            ("reported", _) => self.expect_report(rest),
            ("one", "of") => self.expect_one_of(what),
            (client, "receives") => self.expect(client, what, &step.block),
            (client, "takes") => self.takes(client, what),
            (client, "is") if what == "closed" => self.expect_closed(client),
            _ => return None,
        })
    }

    fn client_step(&mut self, client: &str, rest: &str, step: &Step) -> Result<(), String> {
        let client = &self.name_of(client);
        let (verb, what) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "opens" => self.open(client),
            "connects" => self.connect(client, what),
            "is" => self.brief(client, what),
            "sends" if what == "together" => self.send_together(client, &step.block),
            "sends" => self.send_line(client, what),
            "publishes" => self.send_line(client, &format!("PUBLISH {what}")),
            "subscribes" => self.send_line(client, &format!("SUBSCRIBE {what}")),
            "unsubscribes" => self.send_line(client, &format!("UNSUBSCRIBE {what}")),
            "delivers" => self.deliver(client, what),
            "disconnects" => {
                self.send_line(client, "DISCONNECT")?;
                self.expect_closed(client)
            }
            "loses" => self.cut(client, TransportEnd::Failed("reset by peer".into())),
            "closes" => self.cut(client, TransportEnd::PeerClosed),
            "stops" => self.appetite(client, 0),
            "reads" if what == "again" => self.appetite(client, u64::MAX),
            "reads" => self.appetite(
                client,
                what.trim_end_matches(" bytes")
                    .parse()
                    .map_err(|_| "reads N bytes")?,
            ),
            _ => Err(format!("`{verb}` is nothing that a client can do")),
        }
    }

    fn server_step(&mut self, rest: &str) -> Result<(), String> {
        if let Some(what) = rest.strip_prefix("server publishes ") {
            return self.server_publishes(what);
        }
        if let Some(client) = rest.strip_prefix("server kicks ") {
            let replies = self.net.command_all(|ticket| Command::Kick {
                ticket,
                client_id: client.into(),
            });
            let kicked: usize = replies
                .iter()
                .map(|reply| match reply {
                    Reply::Kicked { connections } => *connections,
                    _ => 0,
                })
                .sum();
            self.told.push(format!("       {kicked} kicked"));
            return self.listen();
        }
        if rest == "server shuts down" {
            self.net.command_all(|_| Command::Shutdown);
            return self.listen();
        }
        if let Some(answer) = rest.strip_prefix("held question is answered: ") {
            let asked = self.held.pop_front().ok_or("no question is held")?;
            self.give(&asked, answer)?;
            return self.listen();
        }
        Err("nobody here is called `the ...`".into())
    }

    fn server_publishes(&mut self, what: &str) -> Result<(), String> {
        let Packet::Publish(publish) = words::packet("PUBLISH", &words::split(what)?)? else {
            return Err("not a PUBLISH".into());
        };
        self.net.command_one(Command::Publish(ServerPublish {
            topic: publish.topic.as_ref().into(),
            payload: publish.payload.as_ref().into(),
            qos: publish.qos,
            retain: publish.retain,
        }));
        self.listen()
    }

    fn name_of(&self, client: &str) -> String {
        match (&self.it, client) {
            (Some(it), "it") => it.clone(),
            _ => client.to_owned(),
        }
    }

    fn open(&mut self, client: &str) -> Result<(), String> {
        let known = self.clients.entry(client.to_owned()).or_default();
        if known.link.is_some() {
            return Err(format!("{client} has a connection already"));
        }
        known.link = Some(self.net.open(0));
        self.listen()
    }

    fn connect(&mut self, client: &str, what: &str) -> Result<(), String> {
        let connect = words::connect(client, &words::split(what)?)?;
        let version = connect.version;
        let mut bytes = Vec::new();
        Packet::Connect(connect)
            .encode(version, &mut bytes)
            .map_err(|error| error.to_string())?;
        if self
            .clients
            .get(client)
            .is_none_or(|client| client.link.is_none())
        {
            self.open(client)?;
        }
        self.clients.entry(client.to_owned()).or_default().version = Some(version);
        self.send(client, &bytes)
    }

    /// `is connected ...` and `is subscribed to ...`: with the answer that all is well.
    fn brief(&mut self, client: &str, what: &str) -> Result<(), String> {
        if let Some(connect) = what.strip_prefix("connected") {
            self.connect(client, connect)?;
            return self.expect(client, "CONNACK session-present=*", &[]);
        }
        let what = what
            .strip_prefix("subscribed to ")
            .ok_or("is connected, is subscribed to ..., is closed")?;
        self.next_id += 1;
        let id = self.next_id;
        let words = words::split(&format!("id={id} {what}"))?;
        let packet = words::packet("SUBSCRIBE", &words)?;
        let Packet::Subscribe(subscribe) = &packet else {
            return Err("not a SUBSCRIBE".into());
        };
        let granted: Vec<String> = subscribe
            .filters
            .iter()
            .map(|each| (each.options.qos as u8).to_string())
            .collect();
        self.send_packet(client, &packet)?;
        self.expect(
            client,
            &format!("SUBACK id={id} {}", granted.join(" ")),
            &[],
        )
    }

    fn send_line(&mut self, client: &str, what: &str) -> Result<(), String> {
        let bytes = self.bytes_of(client, what)?;
        self.send(client, &bytes)
    }

    fn send_together(&mut self, client: &str, block: &[Step]) -> Result<(), String> {
        let mut bytes = Vec::new();
        for step in block {
            bytes.extend(self.bytes_of(client, &step.text)?);
        }
        self.send(client, &bytes)
    }

    fn bytes_of(&self, client: &str, what: &str) -> Result<Vec<u8>, String> {
        let words = words::split(what)?;
        let (first, rest) = words.split_first().ok_or("nothing to send")?;
        if first.is_plain("hex") {
            return words::hex(rest);
        }
        if first.is_plain("CONNECT") {
            let connect = words::connect(client, rest)?;
            let (version, mut bytes) = (connect.version, Vec::new());
            Packet::Connect(connect)
                .encode(version, &mut bytes)
                .map_err(|error| error.to_string())?;
            return Ok(bytes);
        }
        self.encode(client, &words::packet(&first.text(), rest)?)
    }

    fn encode(&self, client: &str, packet: &Packet<'_>) -> Result<Vec<u8>, String> {
        let version = self
            .clients
            .get(client)
            .and_then(|client| client.version)
            .unwrap_or(Version::V5);
        let mut bytes = Vec::new();
        packet
            .encode(version, &mut bytes)
            .map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn send_packet(&mut self, client: &str, packet: &Packet<'_>) -> Result<(), String> {
        let bytes = self.encode(client, packet)?;
        self.send(client, &bytes)
    }

    fn send(&mut self, client: &str, bytes: &[u8]) -> Result<(), String> {
        let link = self.link(client)?;
        let known = self.clients.entry(client.to_owned()).or_default();
        if known.version.is_none() {
            known.sent.extend_from_slice(bytes);
            known.version = spoken_version(&known.sent);
        }
        self.net.send(link, bytes);
        self.listen()
    }

    fn link(&self, client: &str) -> Result<usize, String> {
        let link = self.clients.get(client).and_then(|client| client.link);
        link.ok_or_else(|| format!("{client} has no connection"))
    }

    fn cut(&mut self, client: &str, end: TransportEnd) -> Result<(), String> {
        let link = self.link(client)?;
        self.net.cut(link, end);
        let known = self.clients.entry(client.to_owned()).or_default();
        known.link = None;
        known.version = None;
        known.sent.clear();
        self.listen()
    }

    fn appetite(&mut self, client: &str, bytes: u64) -> Result<(), String> {
        let link = self.link(client)?;
        self.net.set_appetite(link, bytes);
        self.listen()
    }

    /// Publishes and goes through the whole handshake.
    fn deliver(&mut self, client: &str, what: &str) -> Result<(), String> {
        let packet = words::packet("PUBLISH", &words::split(what)?)?;
        let Packet::Publish(publish) = &packet else {
            return Err("not a PUBLISH".into());
        };
        let (qos, id) = (publish.qos, publish.packet_id.map_or(0, |id| id.get()));
        self.send_packet(client, &packet)?;
        match qos {
            Qos::AtMostOnce => Ok(()),
            Qos::AtLeastOnce => self.find(
                client,
                &format!("PUBACK id={id} success|no-matching-subscribers"),
            ),
            Qos::ExactlyOnce => {
                self.find(
                    client,
                    &format!("PUBREC id={id} success|no-matching-subscribers"),
                )?;
                self.send_line(client, &format!("PUBREL id={id}"))?;
                self.find(client, &format!("PUBCOMP id={id}"))
            }
        }
    }

    /// Expects a PUBLISH and acknowledges it to the end.
    fn takes(&mut self, client: &str, what: &str) -> Result<(), String> {
        let client = &self.name_of(client);
        let id_of = |said: &Said| {
            said.fields
                .iter()
                .find(|(key, _)| *key == "id")
                .map(|(_, id)| id.clone())
        };
        let next = self
            .clients
            .get(client)
            .and_then(|client| client.inbox.front());
        let (id, qos) = match next {
            Some(Heard::Packet { said, .. }) => (
                id_of(said),
                said.fields
                    .iter()
                    .any(|field| *field == ("qos", "2".to_owned())),
            ),
            _ => (None, false),
        };
        self.expect(client, what, &[])?;
        let Some(id) = id else { return Ok(()) };
        if !qos {
            return self.send_line(client, &format!("PUBACK id={id}"));
        }
        self.send_line(client, &format!("PUBREC id={id}"))?;
        self.find(client, &format!("PUBREL id={id}"))?;
        self.send_line(client, &format!("PUBCOMP id={id}"))
    }

    /// Expects a packet anywhere among what a client has heard.
    fn find(&mut self, client: &str, what: &str) -> Result<(), String> {
        let wanted = Expected::parse(what)?;
        let heard = &mut self.clients.entry(client.to_owned()).or_default().inbox;
        let at = heard.iter().position(|heard| wanted.check(heard).is_ok());
        let at = at.ok_or_else(|| {
            format!(
                "{client} should have received {what}; it received {}",
                list(heard)
            )
        })?;
        heard.remove(at);
        Ok(())
    }

    fn expect(&mut self, client: &str, what: &str, block: &[Step]) -> Result<(), String> {
        let client = self.name_of(client);
        if what == "in any order" {
            return block
                .iter()
                .try_for_each(|step| self.find(&client, &step.text));
        }
        let heard = &mut self.clients.entry(client.clone()).or_default().inbox;
        if what == "nothing" {
            return match heard.front() {
                None => Ok(()),
                Some(_) => Err(format!(
                    "{client} should have received nothing; it received {}",
                    list(heard)
                )),
            };
        }
        let first = heard
            .front()
            .ok_or_else(|| format!("{client} should have received {what}; nothing came"))?;
        Expected::parse(what)?.check(first).map_err(|error| {
            format!(
                "{client} should have received {what}; it received {}: {error}",
                list(heard)
            )
        })?;
        heard.pop_front();
        Ok(())
    }

    fn expect_closed(&mut self, client: &str) -> Result<(), String> {
        let client = self.name_of(client);
        let known = self.clients.entry(client.clone()).or_default();
        match known.inbox.front() {
            Some(Heard::Closed) => {
                known.inbox.pop_front();
                Ok(())
            }
            _ => Err(format!(
                "{client} should have been closed; it received {}",
                list(&known.inbox)
            )),
        }
    }

    /// `one of a b receives ...`
    fn expect_one_of(&mut self, rest: &str) -> Result<(), String> {
        let (names, what) = rest
            .split_once(" receives ")
            .ok_or("one of A B receives ...")?;
        let wanted = Expected::parse(what)?;
        let fits = |name: &&str| {
            let front = self
                .clients
                .get(*name)
                .and_then(|client| client.inbox.front());
            front.is_some_and(|heard| wanted.check(heard).is_ok())
        };
        let found: Vec<&str> = names.split_whitespace().filter(fits).collect();
        let Some(name) = found.first().map(|name| (*name).to_owned()) else {
            let heard: Vec<String> = names
                .split_whitespace()
                .map(|name| {
                    format!(
                        "{name} received {}",
                        self.clients
                            .get(name)
                            .map_or(String::new(), |client| list(&client.inbox))
                    )
                })
                .collect();
            return Err(format!(
                "one of {names} should have received {what}; {}",
                heard.join("; ")
            ));
        };
        self.it = Some(name.clone());
        self.expect(&name, what, &[])
    }

    fn expect_stats(&mut self, rest: &str) -> Result<(), String> {
        let stats = self.net.stats();
        for word in words::split(rest)? {
            let mut came = None;
            let key = word.key.clone().unwrap_or_default();
            stats.for_each(|name, value| came = came.or((name == key).then_some(value)));
            let came = came.ok_or_else(|| format!("no figure is called `{key}`"))?;
            if came.to_string() != word.text() {
                return Err(format!("{key} should be {} and is {came}", word.text()));
            }
        }
        Ok(())
    }

    /// `session a queued=1 inflight=0 connected=0 subscriptions=2`, or `session a none`.
    fn expect_session(&mut self, client: &str, what: &str) -> Result<(), String> {
        let replies = self.net.command_all(|ticket| Command::ListSessions {
            ticket,
            after: None,
            most: 100,
        });
        let mut rows = replies.into_iter().flat_map(|reply| match reply {
            Reply::Sessions { rows, .. } => rows,
            _ => Vec::new(),
        });
        let row = rows.find(|row| *row.client_id == *client);
        let Some(row) = row else {
            return if what == "none" {
                Ok(())
            } else {
                Err(format!("{client} has no session"))
            };
        };
        for word in words::split(what)? {
            let came = match word.key.as_deref() {
                Some("queued") => row.queued.to_string(),
                Some("inflight") => row.inflight.to_string(),
                Some("subscriptions") => row.subscriptions.to_string(),
                Some("connected") => u8::from(row.peer.is_some()).to_string(),
                Some("keep-alive") => row.keep_alive_secs.to_string(),
                Some("expiry") => row.expiry_secs.to_string(),
                Some("principal") => row.principal.as_deref().unwrap_or("none").to_owned(),
                _ => return Err(format!("{client} has a session; `{}`?", word.text())),
            };
            if came != word.text() {
                return Err(format!(
                    "{}={} expected, it is {came}",
                    word.key.unwrap_or_default(),
                    String::from_utf8_lossy(&word.value)
                ));
            }
        }
        Ok(())
    }

    /// `reported "text"`: an event since the last such line says so.
    fn expect_report(&mut self, rest: &str) -> Result<(), String> {
        let events: Vec<String> = self
            .net
            .events
            .drain(..)
            .map(|event| format!("{event:?}"))
            .collect();
        for word in words::split(rest)? {
            if !events.iter().any(|event| event.contains(&word.text())) {
                return Err(format!(
                    "no event says `{}`:\n{}",
                    word.text(),
                    events.join("\n")
                ));
            }
        }
        Ok(())
    }

    fn nothing_left(&self) -> Result<(), String> {
        for (name, client) in &self.clients {
            if !client.inbox.is_empty() {
                return Err(format!(
                    "{name} received what nobody expected: {}",
                    list(&client.inbox)
                ));
            }
        }
        Ok(())
    }

    /// Answers questions and collects what clients hear, until nothing more happens.
    fn listen(&mut self) -> Result<(), String> {
        while let Some(asked) = self.net.asked.pop_front() {
            self.consider(asked)?;
        }
        for (name, client) in &mut self.clients {
            let Some(link) = client.link else { continue };
            let version = client.version.unwrap_or(Version::V5);
            let link = &mut self.net.links[link];
            let mut used = 0;
            while let Some(frame) = frame::next_frame(&link.received[used..], u32::MAX)
                .map_err(|error| format!("{name} cannot read: {error}"))?
            {
                let packet = Packet::decode(version, Sender::Server, frame)
                    .map_err(|error| format!("{name} cannot read {:02x?}: {error}", frame.bytes))?;
                let said = words::say(&packet);
                self.told.push(format!("       {name} <- {said}"));
                used += frame.bytes.len();
                client.inbox.push_back(Heard::Packet {
                    said,
                    bytes: frame.bytes.to_vec(),
                });
            }
            link.received.drain(..used);
            if link.closed {
                self.told.push(format!("       {name} <- closed"));
                client.inbox.push_back(Heard::Closed);
                client.link = None;
                client.version = None;
                client.sent.clear();
            }
        }
        Ok(())
    }

    fn add_rule(&mut self, rest: &str) -> Result<(), String> {
        let form =
            "when asked to connect|continue|reauthenticate|publish|subscribe [pattern]: answer";
        let (question, answer) = rest
            .strip_prefix("asked to ")
            .and_then(|rest| rest.split_once(": "))
            .ok_or(form)?;
        let (about, pattern) = question
            .split_once(' ')
            .map_or((question, None), |(about, pattern)| {
                (about, Some(pattern.to_owned()))
            });
        self.rules.push(Rule {
            about: about.to_owned(),
            pattern,
            answer: answer.to_owned(),
        });
        Ok(())
    }

    fn consider(&mut self, asked: Asked) -> Result<(), String> {
        let (about, subject) = subject_of(&asked.question);
        self.told.push(format!("       ? {about} {subject}"));
        let applies = |rule: &&Rule| {
            rule.about == about
                && rule
                    .pattern
                    .as_deref()
                    .is_none_or(|pattern| covers(pattern, &subject))
        };
        let rule = self.rules.iter().rev().find(applies);
        let answer = rule
            .map(|rule| rule.answer.clone())
            .ok_or_else(|| format!("nobody knows whether to allow: {about} {subject}"))?;
        if answer == "wait" {
            self.held.push_back(asked);
            return Ok(());
        }
        self.give(&asked, &answer)
    }

    fn give(&mut self, asked: &Asked, answer: &str) -> Result<(), String> {
        let answer = answer_of(answer)?;
        self.net.answer(asked, answer);
        Ok(())
    }
}

/// What a line expects of one packet.
enum Expected {
    Bytes(Vec<u8>),
    Packet { name: String, words: Vec<Word> },
}

impl Expected {
    fn parse(what: &str) -> Result<Self, String> {
        let words = words::split(what)?;
        let (first, rest) = words.split_first().ok_or("receives what?")?;
        let name = first.text();
        match &*name {
            "hex" => Ok(Self::Bytes(words::hex(rest)?)),
            name if words::is_packet_name(name) => Ok(Self::Packet {
                name: name.to_owned(),
                words: rest.to_vec(),
            }),
            _ => Err(format!("`{name}` is no packet")),
        }
    }

    fn check(&self, heard: &Heard) -> Result<(), String> {
        match (self, heard) {
            (_, Heard::Closed) => Err("the connection was closed".into()),
            (Self::Bytes(wanted), Heard::Packet { bytes, .. }) if wanted == bytes => Ok(()),
            (Self::Bytes(_), Heard::Packet { bytes, .. }) => Err(format!("{bytes:02x?}")),
            (Self::Packet { name, words }, Heard::Packet { said, .. }) => {
                words::compare(name, words, said)
            }
        }
    }
}

fn list(heard: &VecDeque<Heard>) -> String {
    let each = heard.iter().map(|heard| match heard {
        Heard::Packet { said, .. } => said.to_string(),
        Heard::Closed => "the end of the connection".to_owned(),
    });
    let all: Vec<String> = each.collect();
    if all.is_empty() {
        "nothing".to_owned()
    } else {
        all.join(", then ")
    }
}

fn subject_of(question: &Question) -> (&'static str, String) {
    match question {
        Question::Authenticate(credentials) => {
            let password = credentials
                .password
                .as_deref()
                .map_or(String::new(), |password| {
                    format!(":{}", words::printable(password))
                });
            let data = credentials
                .data
                .as_deref()
                .map_or(String::new(), |data| format!(" {}", words::printable(data)));
            let user = credentials
                .username
                .as_deref()
                .map_or_else(|| credentials.client_id.to_string(), ToString::to_string);
            ("connect", format!("{user}{password}{data}"))
        }
        Question::AuthenticationStep { data, step, .. } => {
            let about = if *step == AuthenticationStep::Again {
                "reauthenticate"
            } else {
                "continue"
            };
            (about, words::printable(data.as_deref().unwrap_or_default()))
        }
        Question::AuthorizePublish { topic, .. } => ("publish", topic.to_string()),
        Question::Subscribe { packet, .. } => {
            let filters: Vec<&str> = packet.filters.iter().map(|each| &*each.filter).collect();
            ("subscribe", filters.join(" "))
        }
        Question::Unsubscribe { packet, .. } => ("unsubscribe", packet.filters.join(" ")),
        Question::Raw { packet, .. } => ("raw", packet.packet_type().name().to_owned()),
        Question::Deliver { message, .. } => ("deliver", message.topic().to_owned()),
        Question::AuthorizeSubscribe { filter, share, .. } => (
            "subscribe",
            share
                .as_deref()
                .map_or(filter.to_string(), |share| format!("({share}) {filter}")),
        ),
    }
}

fn covers(pattern: &str, subject: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(front) => subject.starts_with(front),
        None => pattern == subject,
    }
}

fn answer_of(text: &str) -> Result<Answer, String> {
    let words = words::split(text)?;
    let (first, rest) = words.split_first().ok_or("no answer")?;
    let value = |key: &str| rest.iter().find(|word| word.key.as_deref() == Some(key));
    let quoted = rest.iter().find(|word| word.quoted && word.key.is_none());
    Ok(match &*first.value {
        b"allow" if rest.is_empty() => Answer::Allowed,
        b"allow" => Answer::Authenticated(Authenticated {
            principal: value("as").map(|word| Arc::from(word.text().as_str())),
            data: value("data").map(|word| word.value.clone().into_boxed_slice()),
            valid_secs: value("valid").and_then(|word| word.text().parse().ok()),
            ..Authenticated::default()
        }),
        b"continue" => Answer::Continue {
            data: quoted
                .ok_or("continue \"data\"")?
                .value
                .clone()
                .into_boxed_slice(),
        },
        b"deny" => Answer::Denied {
            reason: rest
                .iter()
                .find(|word| !word.quoted)
                .map_or(Ok(ReasonCode::NotAuthorized), |word| {
                    words::reason(&word.text())
                })?,
            text: quoted.map(|word| word.text().into()),
        },
        _ => return Err(format!("`{}` is no answer", first.text())),
    })
}

/// The version in which a CONNECT, however odd, will be answered.
fn spoken_version(sent: &[u8]) -> Option<Version> {
    let level_behind = |name: &[u8]| {
        let at = sent.windows(name.len()).position(|window| window == name)?;
        sent.get(at + name.len()).copied()
    };
    match level_behind(b"MQTT") {
        Some(5..) => Some(Version::V5),
        Some(_) => Some(Version::V311),
        None => level_behind(b"MQIsdp").map(|_| Version::V31),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text
        .strip_suffix("ms")
        .map(|n| n.parse().map(Duration::from_millis));
    let parsed = parsed.or_else(|| {
        text.strip_suffix('s')
            .map(|n| n.parse().map(Duration::from_secs))
    });
    parsed
        .and_then(Result::ok)
        .ok_or_else(|| format!("`{text}` is neither 10s nor 500ms"))
}
