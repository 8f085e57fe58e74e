//! The module `mosquitto` underneath: our client, held the way lua-mosquitto holds its own. One connection each; when it
//! is lost it stays lost until the app connects again.

use super::room::Bell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidewire_client::protocol::Cause;
use tidewire_client::{
    Client, ConnectError, Event, LastWill, Publish, Qos, ReasonCode, Subscription, Tls, Version,
};
use tokio::runtime::Runtime;

/// Messages that an app may be behind before the server has to wait.
const EVENTS_MAX: usize = 4096;

/// mosquitto's numbers of errors.
pub(super) mod code {
    pub(in crate::app) const NO_MEMORY: i64 = 1;
    pub(in crate::app) const INVALID: i64 = 3;
    pub(in crate::app) const NO_CONNECTION: i64 = 4;
    pub(in crate::app) const CONNECTION_LOST: i64 = 7;
    pub(in crate::app) const TLS: i64 = 8;
    pub(in crate::app) const SYSTEM: i64 = 14;
}

/// What an app has set.
#[derive(Clone, Debug)]
pub(super) struct MqttOptions {
    pub(super) client_id: String,
    pub(super) clean: bool,
    pub(super) version: Version,
    pub(super) login: Option<(String, Option<String>)>,
    pub(super) will: Option<(String, Vec<u8>, Qos, bool)>,
    pub(super) tls: Option<Tls>,
    pub(super) insecure: bool,
}

/// Something for one of the app's callbacks.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Callback {
    Connect {
        is_success: bool,
        code: i64,
        text: String,
    },
    Disconnect {
        is_success: bool,
        code: i64,
        text: String,
    },
    Publish(i64),
    Subscribe(i64, i64),
    Unsubscribe(i64),
    Message {
        topic: String,
        payload: Vec<u8>,
        qos: i64,
        retain: bool,
    },
}

/// How far an attempt to connect has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Opened {
    Waiting,
    Open,
    Failed(i64, String),
}

#[derive(Debug)]
struct State {
    callbacks: VecDeque<Callback>,
    opened: Opened,
    is_connected: bool,
    is_lost: bool,
}

/// What the client's tasks and the app share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    bell: Arc<Bell>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, callback: Callback) {
        self.lock().callbacks.push_back(callback);
        self.bell.ring();
    }

    /// Waits until there is room for another message.
    async fn room(&self) {
        while self.lock().callbacks.len() >= EVENTS_MAX {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A client of an app.
pub(super) struct MqttClient {
    pub(super) options: MqttOptions,
    shared: Arc<Shared>,
    connection: Option<(Runtime, Client)>,
    next_mid: i64,
}

/// An answer for the app that is no success: a number and a sentence.
pub(super) type Failure = (i64, String);

impl MqttClient {
    pub(super) fn new(client_id: String, clean: bool, bell: Arc<Bell>) -> Self {
        let state = State {
            callbacks: VecDeque::new(),
            opened: Opened::Waiting,
            is_connected: false,
            is_lost: false,
        };
        Self {
            options: MqttOptions {
                client_id,
                clean,
                version: Version::V311,
                login: None,
                will: None,
                tls: None,
                insecure: false,
            },
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                bell,
            }),
            connection: None,
            next_mid: 0,
        }
    }

    /// Begins to connect.
    pub(super) fn connect(
        &mut self,
        host: &str,
        port: u16,
        keep_alive_secs: u64,
    ) -> Result<(), Failure> {
        self.cut();
        let failed = |error: std::io::Error| (code::SYSTEM, error.to_string());
        // A runtime of its own: dropping it cuts the connection without a farewell, as the end of a process does.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(failed)?;
        let builder = self.builder(host, port, keep_alive_secs);
        let events = builder.events();
        let client = {
            let _inside = runtime.enter();
            builder
                .start()
                .map_err(|error| (code::INVALID, error.to_string()))?
        };
        let mut state = self.shared.lock();
        state.opened = Opened::Waiting;
        state.is_lost = false;
        state.callbacks.clear();
        drop(state);
        runtime.spawn(watch(events, Arc::clone(&self.shared)));
        self.connection = Some((runtime, client));
        Ok(())
    }

    fn builder(&self, host: &str, port: u16, keep_alive_secs: u64) -> tidewire_client::Builder {
        let options = &self.options;
        let scheme = if options.tls.is_some() {
            "mqtts"
        } else {
            "mqtt"
        };
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let mut builder = Client::builder(&format!("{scheme}://{host}:{port}"))
            .version(options.version)
            .keep_alive(Duration::from_secs(keep_alive_secs));
        if !options.client_id.is_empty() {
            builder = builder.client_id(&options.client_id);
        }
        builder = if options.clean {
            builder.clean_start()
        } else {
            builder.keep_session(Duration::from_secs(86_400))
        };
        match &options.login {
            Some((name, Some(password))) => builder = builder.credentials(name, password),
            Some((name, None)) => builder = builder.username(name),
            None => {}
        }
        if let Some((topic, payload, qos, retain)) = &options.will {
            let message = Publish::new(topic.as_str(), payload.clone()).qos(*qos);
            builder = builder.will(LastWill::new(if *retain {
                message.retained()
            } else {
                message
            }));
        }
        if let Some(tls) = &options.tls {
            let tls = tls.clone();
            builder = builder.tls(if options.insecure {
                tls.danger_accept_any_certificate()
            } else {
                tls
            });
        }
        builder
    }

    pub(super) fn opened(&self) -> Opened {
        self.shared.lock().opened.clone()
    }

    pub(super) fn is_lost(&self) -> bool {
        let state = self.shared.lock();
        state.is_lost && state.callbacks.is_empty()
    }

    pub(super) fn poll(&self) -> Option<Callback> {
        self.shared.lock().callbacks.pop_front()
    }

    pub(super) fn publish(
        &mut self,
        topic: &str,
        payload: Vec<u8>,
        qos: Qos,
        retain: bool,
    ) -> Result<i64, Failure> {
        let message = Publish::new(topic, payload).qos(qos);
        let message = if retain { message.retained() } else { message };
        let mid = self.mid();
        let (runtime, client) = self.live()?;
        let mut receipt = client
            .try_publish(message)
            .map_err(|rejected| match rejected.why {
                tidewire_client::Rejection::Full | tidewire_client::Rejection::Storage => {
                    (code::NO_MEMORY, rejected.to_string())
                }
                tidewire_client::Rejection::Closed => (code::NO_CONNECTION, rejected.to_string()),
                tidewire_client::Rejection::Invalid(_) => (code::INVALID, rejected.to_string()),
            })?;
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            if receipt.delivered().await.is_ok() {
                shared.push(Callback::Publish(mid));
            }
        });
        Ok(mid)
    }

    pub(super) fn subscribe(&mut self, filter: &str, qos: Qos) -> Result<i64, Failure> {
        let mid = self.mid();
        let (runtime, client) = self.live()?;
        let (client, shared) = (client.clone(), Arc::clone(&self.shared));
        let subscription = Subscription::new(filter).qos(qos);
        runtime.spawn(async move {
            match client.subscribe(subscription).await {
                Ok(mut messages) => {
                    shared.push(Callback::Subscribe(mid, qos as i64));
                    // The stream must not keep the client alive.
                    drop(client);
                    while let Some(message) = messages.recv().await {
                        shared.room().await;
                        shared.push(Callback::Message {
                            topic: message.topic.to_string(),
                            payload: message.payload.to_vec(),
                            qos: message.qos as i64,
                            retain: message.retain,
                        });
                    }
                }
                // 128 is what a server says that refuses.
                Err(_) => shared.push(Callback::Subscribe(mid, 128)),
            }
        });
        Ok(mid)
    }

    pub(super) fn unsubscribe(&mut self) -> Result<i64, Failure> {
        let mid = self.mid();
        self.live()?;
        self.shared.push(Callback::Unsubscribe(mid));
        Ok(mid)
    }

    /// Says DISCONNECT, after what was published is delivered or two seconds have passed.
    pub(super) fn disconnect(&mut self) -> Result<(), Failure> {
        let Some((runtime, client)) = self.connection.take() else {
            return Err(not_connected());
        };
        let was_connected = self.shared.lock().is_connected;
        // What is left undelivered is lost with the client, as in mosquitto.
        let _ = runtime.block_on(client.close(Duration::from_secs(2)));
        runtime.shutdown_background();
        let mut state = self.shared.lock();
        state.is_connected = false;
        if was_connected {
            state
                .callbacks
                .retain(|callback| !matches!(callback, Callback::Disconnect { .. }));
            state.callbacks.push_back(Callback::Disconnect {
                is_success: true,
                code: 0,
                text: "Disconnected".to_owned(),
            });
        }
        drop(state);
        self.shared.bell.ring();
        Ok(())
    }

    /// Cuts the connection without a farewell: the server publishes the will.
    pub(super) fn cut(&mut self) {
        if let Some((runtime, client)) = self.connection.take() {
            runtime.shutdown_background();
            drop(client);
        }
        let mut state = self.shared.lock();
        state.is_connected = false;
        state.opened = Opened::Failed(code::NO_CONNECTION, "the client was destroyed".to_owned());
    }

    fn live(&self) -> Result<(&Runtime, &Client), Failure> {
        let is_connected = self.shared.lock().is_connected;
        match &self.connection {
            Some((runtime, client)) if is_connected => Ok((runtime, client)),
            _ => Err(not_connected()),
        }
    }

    fn mid(&mut self) -> i64 {
        self.next_mid = self.next_mid % 65_535 + 1;
        self.next_mid
    }
}

impl Drop for MqttClient {
    fn drop(&mut self) {
        self.cut();
    }
}

fn not_connected() -> Failure {
    (
        code::NO_CONNECTION,
        "The client is not currently connected.".to_owned(),
    )
}

/// Follows one connection to its end.
async fn watch(mut events: tidewire_client::Events, shared: Arc<Shared>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Connected(_) => {
                let mut state = shared.lock();
                state.opened = Opened::Open;
                state.is_connected = true;
                state.callbacks.push_back(Callback::Connect {
                    is_success: true,
                    code: 0,
                    text: "Connection Accepted.".to_owned(),
                });
                drop(state);
                shared.bell.ring();
            }
            Event::Disconnected { cause, .. } => {
                ended(&cause, &shared);
                shared.bell.ring();
                return;
            }
            _ => {}
        }
    }
}

fn ended(cause: &ConnectError, shared: &Shared) {
    let mut state = shared.lock();
    let text = cause.to_string();
    if std::mem::take(&mut state.is_connected) {
        state.is_lost = true;
        state.callbacks.push_back(Callback::Disconnect {
            is_success: false,
            code: code::CONNECTION_LOST,
            text,
        });
    } else if let ConnectError::Protocol(Cause::Refused(farewell)) = cause {
        state.opened = Opened::Open;
        state.is_lost = true;
        state.callbacks.push_back(Callback::Connect {
            is_success: false,
            code: return_code(farewell.reason),
            text,
        });
    } else {
        let number = if matches!(cause, ConnectError::Tls { .. }) {
            code::TLS
        } else {
            code::SYSTEM
        };
        state.opened = Opened::Failed(number, text);
    }
}

/// CONNACK's return code before MQTT 5.0, where there is one.
fn return_code(reason: ReasonCode) -> i64 {
    match reason {
        ReasonCode::UnsupportedProtocolVersion => 1,
        ReasonCode::ClientIdentifierNotValid => 2,
        ReasonCode::ServerUnavailable => 3,
        ReasonCode::BadUserNameOrPassword => 4,
        ReasonCode::NotAuthorized => 5,
        other => i64::from(other as u8),
    }
}

/// QoS of a number.
pub(super) fn qos(number: i64) -> Qos {
    match number {
        ..=0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        _ => Qos::ExactlyOnce,
    }
}
