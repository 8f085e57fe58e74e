//! A broker in this process.

use std::time::Duration;

use tidewire_broker::{Broker, ListenerSettings, Settings};
use tidewire_client::{Builder, Client, Version};

pub(crate) const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
/// Longer than anything here takes, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running broker and its address.
pub(crate) struct TestBroker {
    broker: Broker,
    pub(crate) port: u16,
}

impl TestBroker {
    pub(crate) fn start() -> Self {
        Self::on_port(0)
    }

    pub(crate) fn on_port(port: u16) -> Self {
        let url = format!("tcp://127.0.0.1:{port}").parse().expect("a URL");
        let settings = Settings {
            workers: 1,
            listeners: vec![ListenerSettings::new("test", url)],
            sys_interval_secs: 0,
            ..Settings::default()
        };
        let broker = Broker::start(&settings).expect("the broker starts");
        let port = broker.addresses()[0].address.port();
        Self { broker, port }
    }

    pub(crate) fn client(&self) -> Builder {
        Client::builder(&format!("mqtt://127.0.0.1:{}", self.port))
    }

    pub(crate) fn kick(&self, client_id: &str) {
        let kicked = self.broker.handle().kick(client_id).expect("it runs");
        assert_eq!(kicked, 1);
    }

    /// Stops it at once, sessions and all.
    pub(crate) fn stop(self) -> u16 {
        self.broker.handle().shutdown(Duration::from_millis(100));
        self.port
    }
}

/// The outcome of something that must not hang.
pub(crate) async fn soon<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("it does not hang")
}
