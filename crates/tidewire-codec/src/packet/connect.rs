//! CONNECT: 3.1 of the specifications.

use std::borrow::Cow;
use std::fmt;

use crate::carrier::Carrier;
use crate::error::{Field, ProtocolName};
use crate::frame::Frame;
use crate::packet::{owned_bytes, owned_text};
use crate::reader::Reader;
use crate::{DecodeError, EncodeError, Properties, Qos, Version, topic, wire};

const RESERVED: u8 = 1 << 0;
const CLEAN_START: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 1 << 5;
const PASSWORD: u8 = 1 << 6;
const USER_NAME: u8 = 1 << 7;

/// A client asks for a session. Which client identifiers are accepted is the server's decision, not checked here.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version of all packets on this connection.
    pub version: Version,
    /// Begin a new session (Clean Session before MQTT 5.0).
    pub clean_start: bool,
    /// Seconds of silence that the client promises not to exceed; 0 turns keep-alive off.
    pub keep_alive_secs: u16,
    /// Empty before MQTT 5.0.
    pub properties: Properties<'a>,
    /// The client identifier; empty if the server shall choose one.
    pub client_id: Cow<'a, str>,
    /// What the server publishes when the connection ends without a proper DISCONNECT.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub username: Option<Cow<'a, str>>,
    /// The password; before MQTT 5.0 only with a user name.
    pub password: Option<Cow<'a, [u8]>>,
}

/// The will message of CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// The quality of service to publish it with.
    pub qos: Qos,
    /// Whether it is published as a retained message.
    pub retain: bool,
    /// Empty before MQTT 5.0.
    pub properties: Properties<'a>,
    /// Its topic name: valid, not empty, without wildcards.
    pub topic: Cow<'a, str>,
    /// Its payload.
    pub payload: Cow<'a, [u8]>,
}

impl<'a> Connect<'a> {
    pub(crate) fn decode(frame: Frame<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let version = decode_version(reader)?;
        if version.is_v5() && !frame.has_minimal_header() {
            return Err(DecodeError::VarintNotMinimal);
        }
        let flags = reader.u8(Field::Flags)?;
        check_flags(version, flags)?;
        let keep_alive_secs = reader.u16(Field::KeepAlive)?;
        let properties = decode_properties(version, Carrier::Connect, reader)?;
        let client_id = Cow::Borrowed(reader.str(Field::ClientId)?);
        let will = if flags & WILL != 0 {
            Some(Will::decode(version, flags, reader)?)
        } else {
            None
        };
        let username = if carries(USER_NAME, flags, version, reader) {
            Some(Cow::Borrowed(reader.str(Field::UserName)?))
        } else {
            None
        };
        let password = if carries(PASSWORD, flags, version, reader) {
            Some(Cow::Borrowed(reader.bytes(Field::Password)?))
        } else {
            None
        };
        let clean_start = flags & CLEAN_START != 0;
        Ok(Connect {
            version,
            clean_start,
            keep_alive_secs,
            properties,
            client_id,
            will,
            username,
            password,
        })
    }

    pub(crate) fn encode_body(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.password.is_some() && self.username.is_none() && !self.version.is_v5() {
            return Err(EncodeError::PasswordWithoutUserName);
        }
        wire::put_str(out, self.version.protocol_name())?;
        out.push(self.version.level());
        out.push(self.flags());
        wire::put_u16(out, self.keep_alive_secs);
        if self.version.is_v5() {
            self.properties.encode(crate::PacketType::Connect, out)?;
        }
        wire::put_str(out, &self.client_id)?;
        if let Some(will) = &self.will {
            will.encode(self.version, out)?;
        }
        if let Some(username) = &self.username {
            wire::put_str(out, username)?;
        }
        match &self.password {
            Some(password) => wire::put_bytes(out, password),
            None => Ok(()),
        }
    }

    /// The same, with texts and bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Connect<'static> {
        Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_secs: self.keep_alive_secs,
            properties: self.properties.into_owned(),
            client_id: owned_text(self.client_id),
            will: self.will.map(Will::into_owned),
            username: self.username.map(owned_text),
            password: self.password.map(owned_bytes),
        }
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.clean_start {
            flags |= CLEAN_START;
        }
        if let Some(will) = &self.will {
            flags |= WILL | (will.qos as u8) << WILL_QOS_SHIFT;
            if will.retain {
                flags |= WILL_RETAIN;
            }
        }
        if self.password.is_some() {
            flags |= PASSWORD;
        }
        if self.username.is_some() {
            flags |= USER_NAME;
        }
        flags
    }
}

impl<'a> Will<'a> {
    fn decode(version: Version, flags: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let qos = will_qos(flags)?;
        let properties = decode_properties(version, Carrier::Will, reader)?;
        let topic = topic::validate_name(reader.bytes(Field::WillTopic)?)
            .map_err(DecodeError::TopicName)?;
        let payload = reader.bytes(Field::WillPayload)?;
        Ok(Will {
            qos,
            retain: flags & WILL_RETAIN != 0,
            properties,
            topic: Cow::Borrowed(topic),
            payload: Cow::Borrowed(payload),
        })
    }

    fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        topic::validate_name(self.topic.as_bytes()).map_err(EncodeError::TopicName)?;
        if version.is_v5() {
            self.properties.encode_will(out)?;
        }
        wire::put_bytes(out, self.topic.as_bytes())?;
        wire::put_bytes(out, &self.payload)
    }

    /// The same, with texts and bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Will<'static> {
        Will {
            qos: self.qos,
            retain: self.retain,
            properties: self.properties.into_owned(),
            topic: owned_text(self.topic),
            payload: owned_bytes(self.payload),
        }
    }
}

/// Shows everything but the password.
impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_secs", &self.keep_alive_secs)
            .field("properties", &self.properties)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("username", &self.username)
            .field(
                "password",
                &self
                    .password
                    .as_ref()
                    .map(|password| format_args!("{} bytes", password.len()).to_string()),
            )
            .finish()
    }
}

fn decode_version(reader: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let name = match reader.bytes(Field::ProtocolName)? {
        b"MQTT" => ProtocolName::Mqtt,
        b"MQIsdp" => ProtocolName::MqIsdp,
        _ => ProtocolName::Other,
    };
    let level = reader.u8(Field::ProtocolLevel)?;
    match (name, level) {
        (ProtocolName::MqIsdp, 3) => Ok(Version::V31),
        (ProtocolName::Mqtt, 4) => Ok(Version::V311),
        (ProtocolName::Mqtt, 5) => Ok(Version::V5),
        _ => Err(DecodeError::UnsupportedProtocolVersion { name, level }),
    }
}

/// MQTT 3.1 leaves bit 0 unused and disregards will QoS and will retain where there is no will.
fn check_flags(version: Version, flags: u8) -> Result<(), DecodeError> {
    let is_strict = version != Version::V31;
    if is_strict && flags & RESERVED != 0 {
        return Err(DecodeError::ReservedConnectFlag);
    }
    if is_strict && flags & WILL == 0 && flags & (WILL_RETAIN | 0b11 << WILL_QOS_SHIFT) != 0 {
        return Err(DecodeError::WillFlagsWithoutWill);
    }
    if flags & (USER_NAME | PASSWORD) == PASSWORD && !version.is_v5() {
        return Err(DecodeError::PasswordWithoutUserName);
    }
    if flags & WILL != 0 {
        will_qos(flags).map(drop)
    } else {
        Ok(())
    }
}

fn will_qos(flags: u8) -> Result<Qos, DecodeError> {
    Qos::try_from(flags >> WILL_QOS_SHIFT & 0b11).map_err(|_| DecodeError::WillQosThree)
}

/// Whether the field of this flag follows. In MQTT 3.1 a packet may end before a user name or password that it announced.
fn carries(flag: u8, flags: u8, version: Version, reader: &Reader<'_>) -> bool {
    flags & flag != 0 && !(version == Version::V31 && reader.is_empty())
}

fn decode_properties<'a>(
    version: Version,
    carrier: Carrier,
    reader: &mut Reader<'a>,
) -> Result<Properties<'a>, DecodeError> {
    if version.is_v5() {
        Properties::decode(reader, carrier)
    } else {
        Ok(Properties::EMPTY)
    }
}
