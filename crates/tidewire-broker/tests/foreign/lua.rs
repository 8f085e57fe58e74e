//! Scripts in a running broker.

use crate::peer::{Peer, builder, connect, enter, open, publish};
use std::sync::Arc;
use std::time::Duration;
use tidewire_broker::Broker;
use tidewire_broker::handlers::{LuaHandler, LuaHandlerError, LuaSettings};
use tidewire_codec::{Connect, Packet, Properties, Property, Publish, Qos, ReasonCode, Version};
use tidewire_handler::Registration;
use tidewire_lua::{Limits, Script};
use tidewire_net::BlockingPipe;

/// A broker with this script.
pub(crate) fn with_script(source: &str) -> Broker {
    with_limits(source, &LuaSettings::default())
}

fn with_limits(source: &str, settings: &LuaSettings) -> Broker {
    let rules = LuaHandler::new(&Script::new("rules.lua", source), settings).unwrap();
    builder()
        .register_with(|handle| {
            rules.attach(handle);
            Registration::new("rules.lua", rules).deadline(Duration::from_secs(60))
        })
        .start()
        .unwrap()
}

fn last_failure(broker: &Broker) -> String {
    let rows = broker.handle().handlers();
    rows[0].last_failure.clone().unwrap_or_default().into()
}

pub(crate) fn enter_as(
    broker: &Broker,
    client_id: &str,
    username: &str,
    password: &str,
) -> Result<Peer<BlockingPipe>, (ReasonCode, Option<String>)> {
    let mut peer = open(broker, Version::V5);
    peer.send(&Packet::Connect(Connect {
        username: Some(username.to_owned().into()),
        password: Some(password.as_bytes().to_owned().into()),
        ..connect(Version::V5, client_id)
    }));
    match peer.receive() {
        Packet::ConnAck(connack) if connack.reason == ReasonCode::Success => Ok(peer),
        Packet::ConnAck(connack) => Err((
            connack.reason,
            connack.properties.reason_string().map(str::to_owned),
        )),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_script_decides_who_comes_in_and_what_they_may_do() {
    let broker = with_script(
        r#"
        function authenticate(client, username, password, more)
            if username == "banned" then return false, "go away", 0x8A end
            client.data.greeting = "hello " .. username
            if password == "secret" then return true end
            if password == "master" then return { principal = "root" } end
            return false
        end
        function authorize_publish(client, topic, payload, more)
            return client.data.greeting ~= nil and topic == client.principal .. "/out" and #payload < 5 and more.qos == 1
        end
        function authorize_subscribe(client, filter, more)
            if filter == "evil" then return { close = true } end
            return filter:sub(1, #client.principal + 1) == client.principal .. "/"
        end
        "#,
    );
    assert_eq!(
        enter_as(&broker, "a", "alice", "wrong").err(),
        Some((
            ReasonCode::BadUserNameOrPassword,
            Some("authentication failed".to_owned())
        ))
    );
    assert_eq!(
        enter_as(&broker, "a", "banned", "secret").err(),
        Some((ReasonCode::Banned, Some("go away".to_owned())))
    );
    let mut alice = enter_as(&broker, "a", "alice", "secret").unwrap();
    let mut root = enter_as(&broker, "r", "whoever", "master").unwrap();
    let told = |peer: &mut Peer<BlockingPipe>, topic: &str, payload: &str| {
        peer.publish(topic, payload, Qos::AtLeastOnce, 1);
        match peer.receive() {
            Packet::PubAck(ack) => ack.reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        told(&mut alice, "alice/out", "1"),
        ReasonCode::NoMatchingSubscribers
    );
    assert_eq!(
        told(&mut alice, "alice/out", "12345"),
        ReasonCode::NotAuthorized
    );
    assert_eq!(told(&mut alice, "root/out", "1"), ReasonCode::NotAuthorized);
    assert_eq!(
        told(&mut root, "root/out", "1"),
        ReasonCode::NoMatchingSubscribers
    );
    assert_eq!(
        alice.subscribe("alice/#", Qos::AtMostOnce),
        ReasonCode::Success
    );
    assert_eq!(
        alice.subscribe("#", Qos::AtMostOnce),
        ReasonCode::NotAuthorized
    );
    root.send(&Packet::Subscribe(crate::peer::subscribe(
        &["evil"],
        Qos::AtMostOnce,
    )));
    while let Some(packet) = root.try_receive() {
        assert!(
            matches!(packet, Packet::Disconnect(_) | Packet::SubAck(_)),
            "{packet:?}"
        );
    }
}

#[test]
fn a_message_is_edited_answered_and_held_back() {
    let broker = with_script(
        r#"
        function on_publish(client, packet)
            if packet.topic == "echo" then
                assert(server.publish("echo/" .. client.id, packet.payload:reverse(), { qos = 1, properties = { content_type = "text/plain" } }))
                return { acknowledge = true }
            end
            if packet.topic == "bad" then return { deny = 0x99, text = "not JSON" } end
            return {
                topic = "seen/" .. packet.topic,
                payload = packet.payload .. "!",
                properties = { user_property = { listener = client.listener, seen = tostring(packet.qos) } },
            }
        end
        function on_deliver(client, packet)
            if client.id == "deaf" then return { suppress = true } end
        end
        "#,
    );
    let mut reader = enter(&broker, Version::V5, "reader");
    let mut deaf = enter(&broker, Version::V5, "deaf");
    for peer in [&mut reader, &mut deaf] {
        peer.subscribe("seen/#", Qos::AtLeastOnce);
        peer.subscribe("echo/#", Qos::AtLeastOnce);
    }
    let mut writer = enter(&broker, Version::V5, "writer");
    writer.send(&Packet::Publish(Publish {
        properties: Properties::EMPTY.with(Property::ContentType("x")),
        ..publish("a", "1", Qos::AtMostOnce, 0)
    }));
    let edited = reader.received_publish();
    assert_eq!((&*edited.topic, &*edited.payload), ("seen/a", &b"1!"[..]));
    assert_eq!(edited.properties.content_type(), Some("x"));
    let added: Vec<_> = edited.properties.user_properties().collect();
    assert_eq!(added, [("listener", "piped"), ("seen", "0")]);
    writer.publish("bad", "{", Qos::AtLeastOnce, 3);
    let Packet::PubAck(ack) = writer.receive() else {
        panic!()
    };
    assert_eq!(ack.reason, ReasonCode::PayloadFormatInvalid);
    writer.publish("echo", "abc", Qos::AtLeastOnce, 4);
    let Packet::PubAck(ack) = writer.receive() else {
        panic!()
    };
    assert_eq!(ack.reason, ReasonCode::Success, "{}", last_failure(&broker));
    let echoed = reader.received_publish();
    assert_eq!(
        (&*echoed.topic, &*echoed.payload),
        ("echo/writer", &b"cba"[..])
    );
    assert_eq!(echoed.properties.content_type(), Some("text/plain"));
    deaf.ping();
    assert_eq!(
        broker.handle().handlers()[0].counts.errors,
        0,
        "{}",
        last_failure(&broker)
    );
}

#[test]
fn a_script_steers_the_broker_and_waits_for_its_answers() {
    let broker = with_script(
        r#"
        function on_publish(client, packet)
            if packet.topic == "who" then
                local names = {}
                for _, row in ipairs(assert(server.clients())) do
                    if row.connected then names[#names + 1] = row.client_id end
                end
                table.sort(names)
                local filters = assert(server.inspect(client.id))[1].filters
                return { topic = "here", payload = table.concat(names, ",") .. " " .. table.concat(filters, ",") }
            end
            if packet.topic == "kick" then
                return { payload = tostring(server.disconnect(packet.payload, 0x98, "out")) }
            end
            if packet.topic == "tell" then
                return { payload = tostring(server.send(packet.payload, "told", "you")) }
            end
        end
        function on_disconnected(event)
            server.shared.add("gone")
            server.publish("gone", event.client_id .. " " .. event.by .. " " .. server.shared.get("gone"))
        end
        "#,
    );
    let mut asker = enter(&broker, Version::V5, "asker");
    asker.subscribe("#", Qos::AtMostOnce);
    let mut victim = enter(&broker, Version::V5, "victim");
    asker.publish("who", "", Qos::AtMostOnce, 0);
    assert_eq!(
        asker.message(),
        ("here".to_owned(), "asker,victim #".to_owned()),
        "{}",
        last_failure(&broker)
    );
    asker.publish("tell", "victim", Qos::AtMostOnce, 0);
    assert_eq!(victim.message(), ("told".to_owned(), "you".to_owned()));
    assert_eq!(asker.message(), ("tell".to_owned(), "1".to_owned()));
    asker.publish("kick", "victim", Qos::AtMostOnce, 0);
    let Packet::Disconnect(farewell) = victim.receive() else {
        panic!()
    };
    assert_eq!(farewell.reason, ReasonCode::AdministrativeAction);
    let mut heard = [asker.message(), asker.message()];
    heard.sort();
    let expected = [("gone", "victim server 1"), ("kick", "1")];
    assert_eq!(
        heard,
        expected.map(|(topic, text)| (topic.to_owned(), text.to_owned()))
    );
}

/// One that never ends, one that eats memory, one that errs in every event: each costs its own message, and others pass.
#[test]
fn a_fault_costs_its_own_message_and_no_other() {
    let settings = LuaSettings {
        limits: Limits {
            instructions: 3_000_000,
            memory_bytes: 2 << 20,
        },
        ..LuaSettings::default()
    };
    let broker = with_limits(
        r#"
        kept = {}
        function on_publish(client, packet)
            if packet.topic == "loop" then while true do end end
            if packet.topic == "bomb" then for i = 1, 1e9 do kept[i] = {} end end
            if packet.topic == "error" then error("no such plant") end
            if packet.topic == "type" then return 7 end
            if packet.topic == "key" then return { topik = "x" } end
            if packet.topic == "slow" then for i = 1, 300000 do end return { payload = "slow" } end
        end
        "#,
        &settings,
    );
    let mut reader = enter(&broker, Version::V5, "reader");
    reader.subscribe("#", Qos::AtMostOnce);
    let mut sufferer = enter(&broker, Version::V5, "sufferer");
    let mut other = enter(&broker, Version::V5, "other");
    for (topic, says) in [
        (
            "loop",
            "rules.lua:4: used more than 3000000 instructions in one call",
        ),
        (
            "bomb",
            "rules.lua: needed more memory than it may have: not enough memory",
        ),
        ("error", "rules.lua:6: no such plant"),
        (
            "type",
            "a number is no verdict: return nothing, true, false or a table",
        ),
        (
            "key",
            "a verdict about publish has no `topik`; did you mean `topic`?",
        ),
    ] {
        sufferer.publish(topic, "", Qos::AtLeastOnce, 1);
        other.publish("other", topic, Qos::AtLeastOnce, 2);
        assert_eq!(reader.message(), ("other".to_owned(), topic.to_owned()));
        let Packet::PubAck(ack) = sufferer.receive() else {
            panic!()
        };
        assert_eq!(ack.reason, ReasonCode::NotAuthorized, "{topic}");
        let Packet::PubAck(ack) = other.receive() else {
            panic!()
        };
        assert_eq!(ack.reason, ReasonCode::Success);
        assert_eq!(last_failure(&broker), says);
    }
    sufferer.publish("slow", "x", Qos::AtMostOnce, 0);
    assert_eq!(reader.message(), ("slow".to_owned(), "slow".to_owned()));
    let counts = broker.handle().handlers()[0].counts;
    assert_eq!(counts.errors, 5);
    assert!(
        counts.waits >= 2,
        "the loop and the slow one waited: {counts:?}"
    );
}

#[test]
fn a_connect_is_shown_as_the_line_of_json() {
    let broker = with_script(
        r#"
        function on_connect(client, packet)
            assert(packet.client_id == "Simps" and packet.will.topic == "w" and packet.keep_alive_secs == 10)
            return { properties = { user_property = { line = packet.json } } }
        end
        "#,
    );
    let mut peer = open(&broker, Version::V5);
    peer.send(&Packet::Connect(Connect {
        keep_alive_secs: 10,
        will: Some(tidewire_codec::Will {
            qos: Qos::AtMostOnce,
            retain: false,
            properties: Properties::EMPTY,
            topic: "w".into(),
            payload: b"bye"[..].into(),
        }),
        ..connect(Version::V5, "Simps")
    }));
    let Packet::ConnAck(connack) = peer.receive() else {
        panic!()
    };
    let shown: Vec<_> = connack.properties.user_properties().collect();
    let line = r#"{"type":1,"protocol_name":"MQTT","protocol_level":5,"clean_session":1,"will":{"qos":0,"retain":0,"topic":"w","message":"bye"},"user_name":"","password":"","keep_alive":10,"client_id":"Simps"}"#;
    assert_eq!(shown, [("line", line)], "{}", last_failure(&broker));
}

#[test]
fn what_happens_is_told_to_the_script() {
    let broker = with_script(
        r#"
        local function report(event, text) server.publish("report", event .. " " .. text) end
        function on_connected(e) report("connected", e.client_id .. " " .. e.version) end
        function on_subscribed(e) report("subscribed", e.filter) end
        function on_published(e)
            if e.origin.server then return end
            report("published", e.topic .. " by " .. e.origin.client_id)
        end
        function on_dropped(e) if e.topic ~= "report" then report("dropped", e.topic .. " " .. e.reason) end end
        function on_pinged(e) report("pinged", e.client_id) end
        "#,
    );
    let mut reader = enter(&broker, Version::V5, "reader");
    reader.subscribe("report", Qos::AtMostOnce);
    let mut actor = enter(&broker, Version::V311, "actor");
    actor.publish("nobody", "", Qos::AtMostOnce, 0);
    actor.ping();
    let mut reports = Vec::new();
    for report in [
        "subscribed report",
        "connected actor 4",
        "published nobody by actor",
        "dropped nobody no_subscriber",
        "pinged actor",
    ] {
        while !reports.contains(&report.to_owned()) {
            reports.push(reader.message().1);
        }
    }
}

#[test]
fn a_new_version_takes_over_and_a_faulty_one_does_not() {
    let version = |text: &str| {
        let source = format!("function on_publish() return {{ payload = '{text}' }} end");
        Script::new("rules.lua", source)
    };
    let rules = Arc::new(LuaHandler::new(&version("one"), &LuaSettings::default()).unwrap());
    let broker = builder()
        .register(Registration::shared("rules.lua", Arc::clone(&rules) as _))
        .start()
        .unwrap();
    let handle = broker.handle();
    let mut client = enter(&broker, Version::V5, "client");
    client.subscribe("#", Qos::AtMostOnce);
    let mut seen = |text: &str| {
        client.publish("t", "", Qos::AtMostOnce, 0);
        assert_eq!(client.message().1, text);
    };
    seen("one");
    let fault = rules
        .renewed(&Script::new("rules.lua", "function on_publish( end"))
        .unwrap_err();
    assert_eq!(
        fault.to_string(),
        "rules.lua:1: <name> or '...' expected near 'end'"
    );
    let failing = rules
        .renewed(&Script::new("rules.lua", "error('not today')"))
        .unwrap_err();
    assert_eq!(failing.to_string(), "rules.lua:1: not today");
    seen("one");
    let next = rules.renewed(&version("two")).unwrap();
    let id = handle.handlers()[0].id;
    handle
        .replace_handler(id, Registration::new("rules.lua", next))
        .unwrap();
    seen("two");
}

#[test]
fn a_misspelt_function_is_reported_with_what_was_meant() {
    for (source, says) in [
        (
            "function on_conect() end",
            "rules.lua: function `on_conect` handles no event; did you mean `on_connect`?\n  help: put `local` before a function that is for the script alone",
        ),
        (
            "x = 1",
            "rules.lua: there is no function for any event, such as `on_publish` or `authenticate`",
        ),
        (
            "os.exit(1)",
            "rules.lua:1: attempt to call a nil value (field 'exit')",
        ),
    ] {
        let error = LuaHandler::new(&Script::new("rules.lua", source), &LuaSettings::default());
        assert_eq!(error.unwrap_err().to_string(), says);
    }
    let folder = tempfile::tempdir().unwrap();
    let missing = LuaHandler::load(&folder.path().join("none.lua"), &LuaSettings::default());
    assert!(matches!(missing, Err(LuaHandlerError::Unreadable(_))));
}
