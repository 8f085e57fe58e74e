//! Sockets that systemd has opened before the broker was started.

use crate::config::Listener;
use crate::exit::{Failure, Status};
use listenfd::ListenFd;
use std::sync::Arc;
use tidewire_broker::{ListenerSettings, OpenSocket};

/// The names of the sockets, with colons between them.
const NAMES: &str = "LISTEN_FDNAMES";

/// The sockets with their names.
pub(super) struct Activation(Vec<(String, OpenSocket)>);

impl Activation {
    /// Takes what was passed, if anything was.
    pub(super) fn take() -> Result<Self, Failure> {
        // Read first: taking the sockets clears the environment, so that children do not take them too.
        let names = std::env::var(NAMES).unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut names = names.split(':');
        let mut sockets = Vec::with_capacity(passed.len());
        for index in 0..passed.len() {
            let name = names.next().filter(|name| !name.is_empty());
            let name = name.unwrap_or("unknown").to_owned();
            let socket = open_socket(&mut passed, index).ok_or_else(|| {
                let message = format!(
                    "systemd has passed \"{name}\", which is no listening stream socket\n  help: use ListenStream= in the socket unit"
                );
                Failure::new(Status::Listener, message)
            })?;
            sockets.push((name, socket));
        }
        Ok(Self(sockets))
    }

    /// Gives each listener the sockets of its name; `settings` are in the order of `listeners`.
    pub(super) fn give(
        self,
        listeners: &[Listener],
        settings: &mut [ListenerSettings],
    ) -> Result<(), Failure> {
        for (listener, settings) in listeners.iter().zip(settings) {
            let Some(wanted) = &listener.systemd_socket else {
                continue;
            };
            let found = self.0.iter().filter(|(name, _)| name == wanted);
            settings.open_sockets = found.map(|(_, socket)| socket.clone()).collect();
            if settings.open_sockets.is_empty() {
                return Err(self.nothing_named(wanted, &listener.name));
            }
        }
        for (name, _) in &self.0 {
            let is_wanted = |listener: &Listener| listener.systemd_socket.as_ref() == Some(name);
            if !listeners.iter().any(is_wanted) {
                tracing::warn!(
                    socket = name,
                    "systemd has passed a socket that no listener asks for by `systemd_socket`; its clients wait for nothing"
                );
            }
        }
        Ok(())
    }

    fn nothing_named(&self, wanted: &str, listener: &str) -> Failure {
        let names: Vec<String> = self.0.iter().map(|(name, _)| format!("{name:?}")).collect();
        let passed = if names.is_empty() {
            "it has passed none at all: was the broker started by hand, or is its socket unit not active?".to_owned()
        } else {
            format!("it has passed {}", names.join(", "))
        };
        let message = format!(
            "listener `{listener}`: systemd has passed no socket named \"{wanted}\"; {passed}\n  \
             help: write `FileDescriptorName={wanted}` in the socket unit, or remove `systemd_socket` to have `url` opened"
        );
        Failure::new(Status::Listener, message)
    }
}

fn open_socket(passed: &mut ListenFd, index: usize) -> Option<OpenSocket> {
    if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
        return Some(OpenSocket::Tcp(Arc::new(listener)));
    }
    #[cfg(unix)]
    if let Ok(Some(listener)) = passed.take_unix_listener(index) {
        return Some(OpenSocket::Local(Arc::new(listener)));
    }
    None
}
