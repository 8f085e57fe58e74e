//! The server's own voice and ears: what an application or a handler does with a running broker.

use crate::handle::{BrokerGone, BrokerHandle};
use crate::request::Request;
use crate::subscription::{SubscribeError, Subscription};
use std::fmt;
use std::sync::mpsc::channel;
use tidewire_codec::{Packet, Publish, Qos, ReasonCode, TopicError, topic};
use tidewire_core::{Command, Reply, SessionDetails, Ticket};

/// Why the server's message was not published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublishError {
    /// The broker has stopped, or has not started yet.
    Gone,
    /// The topic is no topic name.
    Topic(TopicError),
}

impl BrokerHandle {
    /// Publishes a packet with the server as origin, properties included; packet identifier and DUP are not looked at. It waits
    /// for nobody, so handlers may call it. Messages of one topic keep their order.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn publish_packet(&self, publish: Publish<'static>) -> Result<(), PublishError> {
        self.forward(publish, None)
    }

    /// As [`publish_packet`](Self::publish_packet), and waits until the message is on its way to its subscribers: an application that
    /// publishes in a loop is no faster than the broker.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn publish_and_wait(&self, publish: Publish<'static>) -> Result<(), PublishError> {
        let (done, over) = channel();
        self.forward(publish, Some(done))?;
        // Nothing is sent: the other end is dropped.
        let _ = over.recv();
        Ok(())
    }

    /// Subscribes within the process: the server's own ears, about which no handler is asked. At QoS 1 and 2 a message that is not
    /// taken holds those behind it back, as a slow client does; at QoS 0 what does not fit is dropped and counted.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe(&self, filter: &str, qos: Qos) -> Result<Subscription, SubscribeError> {
        let access = self.access().map_err(|_| SubscribeError::Gone)?;
        let pipe = access
            .connect_piped(access.server_policy)
            .map_err(|_| SubscribeError::Gone)?;
        Subscription::open(pipe, filter, qos)
    }

    /// Sends a packet to the connections of a client id, whatever it is, and returns to how many: none if the client is not
    /// there, if its version does not have the packet or if it does not take one of that size. Nothing is kept of it: at
    /// QoS 1 and 2 the caller answers for identifier and repetition.
    ///
    /// # Errors
    /// [`BrokerGone`].
    pub fn send(&self, client_id: &str, packet: &Packet<'static>) -> Result<usize, BrokerGone> {
        let replies = self.command(&Command::Send {
            ticket: NO_TICKET,
            client_id: client_id.into(),
            packet: Box::new(packet.clone()),
        })?;
        let sent = replies.iter().map(|reply| match reply {
            Reply::Sent { connections } => *connections,
            _ => 0,
        });
        Ok(sent.sum())
    }

    /// Closes the connections of a client id with DISCONNECT, this reason and this text where its version can be told, and returns
    /// how many there were.
    ///
    /// # Errors
    /// [`BrokerGone`].
    pub fn disconnect(
        &self,
        client_id: &str,
        reason: ReasonCode,
        text: &str,
    ) -> Result<usize, BrokerGone> {
        let replies = self.command(&Command::Disconnect {
            ticket: NO_TICKET,
            client_id: client_id.into(),
            reason,
            text: text.into(),
        })?;
        let closed = replies.iter().map(|reply| match reply {
            Reply::Kicked { connections } => *connections,
            _ => 0,
        });
        Ok(closed.sum())
    }

    /// The sessions of a client id, connected or not, with their subscriptions; one for each principal that has such a client.
    ///
    /// # Errors
    /// [`BrokerGone`].
    pub fn inspect(&self, client_id: &str) -> Result<Vec<SessionDetails>, BrokerGone> {
        let replies = self.command(&Command::Inspect {
            ticket: NO_TICKET,
            client_id: client_id.into(),
        })?;
        let sessions = replies.into_iter().flat_map(|reply| match reply {
            Reply::Inspected { sessions } => sessions,
            _ => Vec::new(),
        });
        Ok(sessions.collect())
    }

    fn forward(
        &self,
        publish: Publish<'static>,
        done: Option<std::sync::mpsc::Sender<()>>,
    ) -> Result<(), PublishError> {
        topic::validate_name(publish.topic.as_bytes()).map_err(PublishError::Topic)?;
        let access = self.access().map_err(|_| PublishError::Gone)?;
        let worker = access
            .worker_for(&publish.topic)
            .map_err(|_| PublishError::Gone)?;
        let publish = Box::new(publish);
        access.ask(worker, Request::Forward { publish, done });
        Ok(())
    }

    /// Asks all workers: where a session lives is theirs to know.
    fn command(&self, command: &Command) -> Result<Vec<Reply>, BrokerGone> {
        self.access()?.ask_all(|reply| Request::Command {
            command: Box::new(command.clone()),
            reply,
        })
    }
}

/// The worker that gets a command gives it a ticket of its own.
const NO_TICKET: Ticket = Ticket(0);

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the broker has stopped, or has not started yet"),
            Self::Topic(error) => write!(f, "the topic is no topic name: {error}"),
        }
    }
}

impl std::error::Error for PublishError {}
