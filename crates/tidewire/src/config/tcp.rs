//! The keys of `[[listener]]` about the operating system's sockets.

use super::Listener;
use super::key::{Access, Key, Kind, Section};
use super::table::key;
use super::value::Value;
use tidewire_broker::ListenerSettings;

/// Puts the settings of these keys into the broker's settings of the listener.
pub(crate) fn apply(listener: &Listener, settings: &mut ListenerSettings) {
    let tcp = listener.tcp;
    settings.tcp_nodelay = tcp.nodelay;
    settings.backlog = tcp.backlog;
    settings.tcp_keep_alive_secs = tcp.keep_alive_secs;
    settings.tcp_user_timeout_secs = tcp.user_timeout_secs;
    settings.tcp_receive_buffer_bytes = tcp.receive_buffer_bytes;
    settings.tcp_send_buffer_bytes = tcp.send_buffer_bytes;
}

/// In the order of the reference.
pub(super) static KEYS: &[Key] = &[
    key(
        Section::Listener,
        "tcp_nodelay",
        Kind::Flag,
        "",
        "Whether small packets leave at once (TCP_NODELAY). `false` may save packets on slow links and costs latency.",
        Access::Listener {
            get: |listener| Value::Flag(listener.tcp.nodelay),
            set: |listener, value| listener.tcp.nodelay = value == Value::Flag(true),
        },
    ),
    key(
        Section::Listener,
        "backlog",
        Kind::Integer {
            min: 1,
            max: 65_535,
        },
        "connections",
        "Connections that the system holds until the broker accepts them; the system may have a lower bound of its own.",
        Access::Listener {
            get: |listener| Value::Integer(listener.tcp.backlog.into()),
            set: |listener, value| listener.tcp.backlog = value.narrow(),
        },
    ),
    key(
        Section::Listener,
        "tcp_keep_alive_secs",
        Kind::Integer {
            min: 0,
            max: 32_767,
        },
        "seconds",
        "Silence after which the operating system asks whether the peer's host is still there, and gives it up if it does not answer for \
         as long again. 0 turns it off.",
        Access::Listener {
            get: |listener| Value::Integer(listener.tcp.keep_alive_secs.into()),
            set: |listener, value| listener.tcp.keep_alive_secs = value.narrow(),
        },
    ),
    key(
        Section::Listener,
        "tcp_user_timeout_secs",
        Kind::Integer {
            min: 0,
            max: 86_400,
        },
        "seconds",
        "Time that sent bytes may stay unacknowledged by the peer's host before the connection is given up (TCP_USER_TIMEOUT; Linux). 0 \
         leaves it to the operating system, which takes about a quarter of an hour.",
        Access::Listener {
            get: |listener| Value::Integer(listener.tcp.user_timeout_secs.into()),
            set: |listener, value| listener.tcp.user_timeout_secs = value.narrow(),
        },
    ),
    key(
        Section::Listener,
        "tcp_receive_buffer_bytes",
        SOCKET_BUFFER,
        "bytes",
        "The operating system's buffer of each connection for what has come and is not read yet. 0 lets the system size it, which suits \
         nearly everybody; less saves memory with very many slow clients.",
        Access::Listener {
            get: |listener| Value::Integer(listener.tcp.receive_buffer_bytes.into()),
            set: |listener, value| listener.tcp.receive_buffer_bytes = value.narrow(),
        },
    ),
    key(
        Section::Listener,
        "tcp_send_buffer_bytes",
        SOCKET_BUFFER,
        "bytes",
        "The operating system's buffer of each connection for what has been written and has not left yet. 0 lets the system size it.",
        Access::Listener {
            get: |listener| Value::Integer(listener.tcp.send_buffer_bytes.into()),
            set: |listener, value| listener.tcp.send_buffer_bytes = value.narrow(),
        },
    ),
    key(
        Section::Listener,
        "systemd_socket",
        Kind::Text { max_bytes: 255 },
        "",
        "Take the sockets that systemd has opened under this name (`FileDescriptorName=` in a socket unit, else the unit's own name) and \
         open nothing at `url`, which still says by its scheme what is spoken and by its address who can reach it.",
        Access::Listener {
            get: |listener| {
                let name = listener.systemd_socket.clone();
                name.map_or(Value::Unset, Value::Text)
            },
            set: |listener, value| listener.systemd_socket = Some(value.into_text()),
        },
    ),
];

/// From a little more than one segment to what no connection needs.
const SOCKET_BUFFER: Kind = Kind::Integer {
    min: 0,
    max: 1_073_741_824,
};

#[cfg(test)]
mod tests {
    use super::super::read;

    #[test]
    fn every_key_reaches_the_brokers_settings() {
        let text = r#"
            [[listener]]
            url = "tcp://127.0.0.1:1"
            tcp_nodelay = false
            backlog = 2
            tcp_keep_alive_secs = 3
            tcp_user_timeout_secs = 4
            tcp_receive_buffer_bytes = 5
            tcp_send_buffer_bytes = 6
            systemd_socket = "seven"
        "#;
        let config = read("c.toml", text).expect("right");
        let listener = &config.listeners[0];
        let mut settings = tidewire_broker::ListenerSettings::new("a", listener.url.clone());
        super::apply(listener, &mut settings);
        let numbers = [
            u32::from(settings.tcp_nodelay),
            settings.backlog,
            settings.tcp_keep_alive_secs,
            settings.tcp_user_timeout_secs,
            settings.tcp_receive_buffer_bytes,
            settings.tcp_send_buffer_bytes,
        ];
        assert_eq!(numbers, [0, 2, 3, 4, 5, 6]);
        assert_eq!(listener.systemd_socket.as_deref(), Some("seven"));
    }
}
