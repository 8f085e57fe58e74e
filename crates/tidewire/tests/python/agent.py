"""MQTT clients of paho-mqtt that a test leads: one command a line as JSON on standard input, one event a line on standard output."""

import hashlib
import json
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

VERSIONS = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}

# Names of properties in commands and events, and paho's.
NAMES = {
    "session_expiry_interval": "SessionExpiryInterval",
    "receive_maximum": "ReceiveMaximum",
    "topic_alias_maximum": "TopicAliasMaximum",
    "topic_alias": "TopicAlias",
    "assigned_client_identifier": "AssignedClientIdentifier",
    "content_type": "ContentType",
    "response_topic": "ResponseTopic",
    "correlation_data": "CorrelationData",
    "message_expiry_interval": "MessageExpiryInterval",
    "payload_format_indicator": "PayloadFormatIndicator",
    "subscription_identifier": "SubscriptionIdentifier",
    "will_delay_interval": "WillDelayInterval",
    "user_properties": "UserProperty",
}

# Larger payloads are told by length and digest.
SHOWN_BYTES = 4096

OUTPUT = threading.Lock()


def say(name, event, **facts):
    with OUTPUT:
        print(json.dumps({"as": name, "event": event, **facts}), flush=True)


def to_paho(packet_type, given):
    if not given:
        return None
    properties = Properties(packet_type)
    for name, value in given.items():
        if name == "user_properties":
            value = [tuple(pair) for pair in value]
        elif name == "correlation_data":
            value = value.encode()
        setattr(properties, NAMES[name], value)
    return properties


def from_paho(properties):
    found = {}
    for name, theirs in NAMES.items():
        value = getattr(properties, theirs, None) if properties is not None else None
        if value is None:
            continue
        if name == "correlation_data":
            value = value.decode()
        elif name == "user_properties":
            value = [list(pair) for pair in value]
        elif name == "subscription_identifier":
            value = value if isinstance(value, list) else [value]
        found[name] = value
    return found


class Client:
    def __init__(self, name, command):
        self.name = name
        self.version = VERSIONS[command["version"]]
        self.is_v5 = self.version == mqtt.MQTTv5
        clean = None if self.is_v5 else command.get("clean", True)
        self.mqtt = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=command["client_id"],
            clean_session=clean,
            protocol=self.version,
            reconnect_on_failure=False,
        )
        self.mqtt.on_connect = self.on_connect
        self.mqtt.on_disconnect = self.on_disconnect
        self.mqtt.on_message = self.on_message
        self.mqtt.on_publish = self.on_publish
        self.mqtt.on_subscribe = self.on_subscribe
        self.mqtt.on_unsubscribe = self.on_unsubscribe
        self.set_will(command.get("will"))
        # Paho leaves the aliases of the server to its user.
        self.topics_by_alias = {}
        facts = {}
        if self.is_v5:
            facts["clean_start"] = command.get("clean", True)
            facts["properties"] = to_paho(PacketTypes.CONNECT, command.get("properties"))
        self.mqtt.connect("127.0.0.1", command["port"], keepalive=command.get("keep_alive", 60), **facts)
        self.mqtt.loop_start()

    def set_will(self, will):
        if will:
            properties = to_paho(PacketTypes.WILLMESSAGE, will.get("properties"))
            self.mqtt.will_set(will["topic"], will["payload"], will["qos"], will["retain"], properties)

    def on_connect(self, _client, _data, flags, reason, properties):
        if reason.is_failure:
            say(self.name, "refused", reason=reason.value)
        else:
            present = flags.session_present
            say(self.name, "connected", session_present=present, properties=from_paho(properties))

    def on_disconnect(self, _client, _data, flags, reason, _properties):
        by_server = flags.is_disconnect_packet_from_server
        say(self.name, "closed", reason=reason.value if by_server else None)

    def on_message(self, _client, _data, message):
        facts = {"bytes": len(message.payload)}
        if len(message.payload) <= SHOWN_BYTES:
            facts["payload"] = message.payload.decode()
        else:
            facts["sha256"] = hashlib.sha256(message.payload).hexdigest()
        say(
            self.name,
            "message",
            topic=self.topic_of(message),
            qos=message.qos,
            retain=bool(message.retain),
            properties=from_paho(getattr(message, "properties", None)),
            **facts,
        )

    def topic_of(self, message):
        alias = getattr(getattr(message, "properties", None), "TopicAlias", None)
        if alias is None:
            return message.topic
        if message.topic:
            self.topics_by_alias[alias] = message.topic
        return self.topics_by_alias[alias]

    def on_publish(self, _client, _data, _mid, reason, _properties):
        say(self.name, "published", reason=reason.value)

    def on_subscribe(self, _client, _data, _mid, reasons, _properties):
        say(self.name, "subscribed", reasons=[reason.value for reason in reasons])

    def on_unsubscribe(self, _client, _data, _mid, reasons, _properties):
        say(self.name, "unsubscribed", reasons=[reason.value for reason in reasons])

    def publish(self, command):
        properties = to_paho(PacketTypes.PUBLISH, command.get("properties"))
        payload = command["payload"] * command.get("repeat", 1)
        self.mqtt.publish(command["topic"], payload, command["qos"], command.get("retain", False), properties)

    def subscribe(self, command):
        filters = [self.with_options(entry) for entry in command["filters"]]
        properties = to_paho(PacketTypes.SUBSCRIBE, command.get("properties"))
        self.mqtt.subscribe(filters, properties=properties)

    def with_options(self, entry):
        if not self.is_v5:
            return (entry["filter"], entry["qos"])
        options = SubscribeOptions(
            qos=entry["qos"],
            noLocal=entry.get("no_local", False),
            retainAsPublished=entry.get("retain_as_published", False),
            retainHandling=entry.get("retain_handling", 0),
        )
        return (entry["filter"], options)

    def unsubscribe(self, command):
        self.mqtt.unsubscribe(command["filters"])

    def disconnect(self, command):
        reason, properties = None, None
        if self.is_v5:
            reason = ReasonCode(PacketTypes.DISCONNECT, identifier=command.get("reason", 0))
            properties = to_paho(PacketTypes.DISCONNECT, command.get("properties"))
        self.mqtt.disconnect(reason, properties)


def main():
    clients = {}
    for line in sys.stdin:
        command = json.loads(line)
        name = command["as"]
        if command["do"] == "connect":
            clients[name] = Client(name, command)
        else:
            getattr(clients[name], command["do"])(command)


main()
