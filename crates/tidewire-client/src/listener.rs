//! Callbacks at the level of packets.

use tidewire_codec::{Ack, Auth, ConnAck, Disconnect, Packet, Publish, SubAck, UnsubAck};

use crate::event::ConnectError;
use crate::protocol::Published;

/// Hears every packet of the server, before anything follows from it. All methods do nothing unless they are
/// implemented. They are called on the client's own task: they must not block and may not take long.
#[expect(
    unused_variables,
    reason = "the names of parameters are their documentation"
)]
pub trait Listener: Send {
    /// CONNACK.
    fn connack(&mut self, packet: &ConnAck<'_>) {}
    /// PUBLISH.
    fn publish(&mut self, packet: &Publish<'_>) {}
    /// PUBACK: the server has a QoS 1 message.
    fn puback(&mut self, packet: &Ack<'_>) {}
    /// PUBREC: the server has a QoS 2 message.
    fn pubrec(&mut self, packet: &Ack<'_>) {}
    /// PUBREL: the server releases the identifier of its QoS 2 message.
    fn pubrel(&mut self, packet: &Ack<'_>) {}
    /// PUBCOMP: the exchange of a QoS 2 message is over.
    fn pubcomp(&mut self, packet: &Ack<'_>) {}
    /// SUBACK.
    fn suback(&mut self, packet: &SubAck<'_>) {}
    /// UNSUBACK.
    fn unsuback(&mut self, packet: &UnsubAck<'_>) {}
    /// PINGRESP.
    fn pingresp(&mut self) {}
    /// DISCONNECT of the server (MQTT 5.0).
    fn disconnect(&mut self, packet: &Disconnect<'_>) {}
    /// AUTH (MQTT 5.0).
    fn auth(&mut self, packet: &Auth<'_>) {}

    /// A connection was lost, for this reason; not called for one that this client ended.
    fn connection_lost(&mut self, cause: &ConnectError) {}
    /// A message was delivered: the token names its packet identifier.
    fn delivery_complete(&mut self, token: Published) {}
}

pub(crate) fn tell(listener: &mut dyn Listener, packet: &Packet<'_>) {
    match packet {
        Packet::ConnAck(packet) => listener.connack(packet),
        Packet::Publish(packet) => listener.publish(packet),
        Packet::PubAck(packet) => listener.puback(packet),
        Packet::PubRec(packet) => listener.pubrec(packet),
        Packet::PubRel(packet) => listener.pubrel(packet),
        Packet::PubComp(packet) => listener.pubcomp(packet),
        Packet::SubAck(packet) => listener.suback(packet),
        Packet::UnsubAck(packet) => listener.unsuback(packet),
        Packet::PingResp => listener.pingresp(),
        Packet::Disconnect(packet) => listener.disconnect(packet),
        Packet::Auth(packet) => listener.auth(packet),
        // What only clients send.
        Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::PingReq => {}
    }
}

/// Enhanced authentication: the client's side of a method such as SCRAM (MQTT 5.0, section 4.12).
pub trait Authenticator: Send {
    /// The name of the method.
    fn method(&self) -> &str;

    /// The first message of an exchange: goes into CONNECT, or into the AUTH that begins anew.
    ///
    /// # Errors
    /// Why there can be no exchange.
    fn start(&mut self) -> Result<Option<Vec<u8>>, String>;

    /// The answer to a message of the server.
    ///
    /// # Errors
    /// Why the exchange cannot go on.
    fn answer(&mut self, challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, String>;

    /// The server says that the exchange has succeeded: is it who it should be?
    ///
    /// # Errors
    /// Why the server is not to be believed.
    fn finish(&mut self, data: Option<&[u8]>) -> Result<(), String>;
}
