//! Why a connection ended.

use std::fmt;

use tidewire_codec::{DecodeError, EncodeError, PacketId, PacketType, ReasonCode};

/// Why a connection ended, or did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// This client said DISCONNECT.
    Asked,
    /// The server refused the connection with CONNACK.
    Refused(Farewell),
    /// The server ended the connection with DISCONNECT (MQTT 5.0).
    Disconnected(Farewell),
    /// The transport ended without a farewell.
    TransportClosed,
    /// No CONNACK came in time.
    NoConnAck,
    /// The server did not answer PINGREQ, and sent nothing else, in time.
    NoPingResp,
    /// The server sent bytes that are no packet, or a packet that may not be.
    Malformed(DecodeError),
    /// The server sent a packet that it may not send now.
    Unexpected {
        /// The packet.
        packet: PacketType,
        /// What is wrong about it.
        why: &'static str,
    },
    /// The server acknowledged a packet identifier that is not in use for this.
    UnknownPacketId {
        /// The acknowledgement.
        packet: PacketType,
        /// The identifier in it.
        packet_id: PacketId,
    },
    /// The server sent more messages at once than the announced Receive Maximum.
    ReceiveMaximumExceeded,
    /// The server used a topic alias that it may not use, or has not said what it stands for.
    TopicAlias(u16),
    /// The server has a session although this client asked for a new one.
    UnexpectedSession,
    /// CONNECT or another packet of this client cannot be written.
    CannotSend(EncodeError),
    /// The application's authenticator gave up, or does not believe the server.
    AuthenticationFailed(Box<str>),
}

/// What a server says when it refuses or ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// Its reason; for MQTT 3.1 and 3.1.1 the one that the return code stands for.
    pub reason: ReasonCode,
    /// A sentence for people.
    pub text: Option<Box<str>>,
    /// Where another server is.
    pub server_reference: Option<Box<str>>,
}

impl Cause {
    /// Whether another attempt with the same options cannot be expected to end otherwise: what the server refuses is
    /// who the client is or how it speaks.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        use ReasonCode as R;
        match self {
            Self::Refused(farewell) => matches!(
                farewell.reason,
                R::BadUserNameOrPassword
                    | R::NotAuthorized
                    | R::ClientIdentifierNotValid
                    | R::UnsupportedProtocolVersion
                    | R::Banned
                    | R::BadAuthenticationMethod
                    | R::MalformedPacket
                    | R::ProtocolError
                    | R::PacketTooLarge
                    | R::TopicNameInvalid
                    | R::PayloadFormatInvalid
                    | R::RetainNotSupported
                    | R::QosNotSupported
            ),
            // Whoever took the session would be thrown out by a quick return, and return itself.
            Self::Disconnected(farewell) => matches!(
                farewell.reason,
                R::SessionTakenOver | R::NotAuthorized | R::AdministrativeAction
            ),
            Self::CannotSend(_) | Self::AuthenticationFailed(_) => true,
            _ => false,
        }
    }

    /// The other server that this one names, and whether to stay with it.
    #[must_use]
    pub fn redirect(&self) -> Option<(&str, ReasonCode)> {
        match self {
            Self::Refused(farewell) | Self::Disconnected(farewell) => {
                Some((farewell.server_reference.as_deref()?, farewell.reason))
            }
            _ => None,
        }
    }

    /// The reason code of the DISCONNECT that tells the server (MQTT 5.0), if it is to be told.
    pub(crate) const fn disconnect_reason(&self) -> Option<ReasonCode> {
        Some(match self {
            Self::Malformed(error) => error.reason_code(),
            Self::Unexpected { .. } | Self::UnknownPacketId { .. } | Self::UnexpectedSession => {
                ReasonCode::ProtocolError
            }
            Self::ReceiveMaximumExceeded => ReasonCode::ReceiveMaximumExceeded,
            Self::TopicAlias(_) => ReasonCode::TopicAliasInvalid,
            Self::NoPingResp | Self::CannotSend(_) | Self::AuthenticationFailed(_) => {
                ReasonCode::UnspecifiedError
            }
            Self::Asked
            | Self::Refused(_)
            | Self::Disconnected(_)
            | Self::TransportClosed
            | Self::NoConnAck => return None,
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("this client disconnected"),
            Self::Refused(farewell) => write!(f, "the server refused the connection: {farewell}"),
            Self::Disconnected(farewell) => {
                write!(f, "the server ended the connection: {farewell}")
            }
            Self::TransportClosed => f.write_str("the connection was closed without a farewell"),
            Self::NoConnAck => f.write_str("the server did not answer CONNECT in time"),
            Self::NoPingResp => f.write_str("the server did not answer PINGREQ in time"),
            Self::Malformed(error) => write!(f, "the server sent a malformed packet: {error}"),
            Self::Unexpected { packet, why } => write!(f, "the server sent {packet}: {why}"),
            Self::UnknownPacketId { packet, packet_id } => write!(
                f,
                "the server sent {packet} with packet identifier {packet_id}, which waits for no such packet"
            ),
            Self::ReceiveMaximumExceeded => {
                f.write_str("the server sent more messages at once than the Receive Maximum")
            }
            Self::TopicAlias(alias) => {
                write!(
                    f,
                    "the server used topic alias {alias}, which stands for nothing"
                )
            }
            Self::UnexpectedSession => {
                f.write_str("the server goes on with a session although a new one was asked for")
            }
            Self::CannotSend(error) => write!(f, "a packet cannot be sent: {error}"),
            Self::AuthenticationFailed(text) => write!(f, "authentication failed: {text}"),
        }
    }
}

impl std::error::Error for Cause {}

impl fmt::Display for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        if let Some(text) = &self.text {
            write!(f, " ({text})")?;
        }
        if let Some(reference) = &self.server_reference {
            write!(f, "; it names the server {reference}")?;
        }
        Ok(())
    }
}
