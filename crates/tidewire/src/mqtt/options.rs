//! What the flags say, checked.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tidewire_client::codec::topic;
use tidewire_client::{Qos, Version};

use super::Failure;
use super::flags::{Given, Tool};
use super::format::Format;
use super::payload::PayloadFormat;
use super::properties;

/// Everything that the flags say.
pub(crate) struct Options {
    /// Which tool was called.
    pub(crate) tool: Tool,
    /// The server and the connection.
    pub(crate) server: Server,
    /// TLS.
    pub(crate) tls: TlsOptions,
    /// The will.
    pub(crate) will: Option<Will>,
    /// Properties of all packets.
    pub(crate) properties: properties::Given,
    /// Topics or filters.
    pub(crate) topics: Vec<String>,
    /// Quality of service of the message or the subscriptions.
    pub(crate) qos: Qos,
    /// What is published.
    pub(crate) message: MessageOptions,
    /// What is received, and how it is printed.
    pub(crate) receive: Receive,
    /// `-d`
    pub(crate) debug: bool,
    /// `--quiet`
    pub(crate) quiet: bool,
}

/// The server and the connection.
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) unix: Option<String>,
    /// A URL of a scheme that mosquitto does not know.
    pub(crate) url: Option<String>,
    pub(crate) version: Version,
    pub(crate) client_id: Option<String>,
    pub(crate) keep_session: bool,
    pub(crate) session_expiry: Option<u32>,
    pub(crate) keep_alive: Duration,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) bind: Option<IpAddr>,
    pub(crate) proxy: Option<String>,
}

/// TLS.
#[derive(Default)]
pub(crate) struct TlsOptions {
    /// Something asks for TLS.
    pub(crate) is_wanted: bool,
    pub(crate) ca_files: Vec<PathBuf>,
    pub(crate) ca_folders: Vec<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) key_password: Option<String>,
    pub(crate) insecure: bool,
    pub(crate) allow_self_signed: bool,
    pub(crate) pin: Option<String>,
    pub(crate) server_name: Option<String>,
    pub(crate) alpn: Option<String>,
}

/// The will.
#[derive(Default)]
pub(crate) struct Will {
    pub(crate) topic: Option<String>,
    pub(crate) payload: Option<String>,
    pub(crate) qos: Option<Qos>,
    pub(crate) retain: bool,
}

/// Where payloads come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Text(String),
    File(PathBuf),
    Stdin,
    Lines,
    Nothing,
    Replay(PathBuf),
}

/// What is published.
pub(crate) struct MessageOptions {
    pub(crate) source: Option<Source>,
    pub(crate) retain: bool,
    pub(crate) max_inflight: Option<u16>,
    pub(crate) repeat: u64,
    pub(crate) repeat_delay: Duration,
    pub(crate) rate: Option<f64>,
    pub(crate) outbox: Option<PathBuf>,
    pub(crate) response_topic: Option<String>,
}

/// What is received, and how it is printed.
#[derive(Default)]
pub(crate) struct Receive {
    pub(crate) count: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) exit_when_subscribed: bool,
    pub(crate) format: Option<Format>,
    pub(crate) no_newline: bool,
    pub(crate) no_retained: bool,
    pub(crate) verbose: bool,
    pub(crate) filter_out: Vec<String>,
    pub(crate) unsubscribe: Vec<String>,
    pub(crate) pretty: bool,
    pub(crate) retained_only: bool,
    pub(crate) remove_retained: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) random_filter: Option<f64>,
    pub(crate) json: bool,
    pub(crate) payload_format: Option<PayloadFormat>,
}

impl Options {
    /// Reads the flags in their order.
    ///
    /// # Errors
    /// A value that cannot be, or flags that do not go together.
    pub(crate) fn of(tool: Tool, given: Vec<Given>) -> Result<Self, Failure> {
        let mut options = Self::defaults(tool);
        for flag in given {
            let Given { name, values } = flag;
            if name == "property" {
                options.properties.add(&values)?;
                // Properties exist there only.
                options.server.version = Version::V5;
                continue;
            }
            let value = values.into_iter().next().unwrap_or_default();
            let is_known = options.server_flag(name, &value)?
                || options.tls_flag(name, &value)?
                || options.message_flag(name, &value)?
                || options.receive_flag(name, &value)?;
            if !is_known {
                return Err(Failure::usage(format!(
                    "--{name} is not supported here; leave it out"
                )));
            }
        }
        options.check()?;
        Ok(options)
    }

    fn defaults(tool: Tool) -> Self {
        let is_request = tool == Tool::Rr;
        Self {
            tool,
            server: Server {
                host: "localhost".to_owned(),
                port: None,
                unix: None,
                url: None,
                version: if is_request {
                    Version::V5
                } else {
                    Version::V311
                },
                client_id: None,
                keep_session: false,
                session_expiry: None,
                keep_alive: Duration::from_secs(60),
                username: None,
                password: None,
                bind: None,
                proxy: None,
            },
            tls: TlsOptions::default(),
            will: None,
            properties: properties::Given::default(),
            topics: Vec::new(),
            qos: Qos::AtMostOnce,
            message: MessageOptions {
                source: None,
                retain: false,
                max_inflight: None,
                repeat: 1,
                repeat_delay: Duration::ZERO,
                rate: None,
                outbox: None,
                response_topic: None,
            },
            receive: Receive::default(),
            debug: false,
            quiet: false,
        }
    }

    fn server_flag(&mut self, name: &str, value: &str) -> Result<bool, Failure> {
        let server = &mut self.server;
        match name {
            "host" => value.clone_into(&mut server.host),
            "port" => server.port = Some(port(value)?),
            "unix" => server.unix = Some(value.to_owned()),
            "url" => self.take_url(value)?,
            "protocol-version" => server.version = version(value)?,
            "id" | "id-prefix" => {
                if server.client_id.is_some() {
                    return Err(Failure::usage("-i and -I cannot be used together"));
                }
                server.client_id = Some(if name == "id" {
                    value.to_owned()
                } else {
                    format!("{value}{}", std::process::id())
                });
            }
            "disable-clean-session" => server.keep_session = true,
            "session-expiry-interval" => server.session_expiry = Some(session_expiry(value)?),
            "keepalive" => server.keep_alive = Duration::from_secs(within(name, value, 5, 65_535)?),
            "username" => server.username = Some(value.to_owned()),
            "pw" => server.password = Some(value.to_owned()),
            "bind" => {
                let address = value.parse();
                server.bind = Some(address.map_err(|_| {
                    Failure::usage(format!(
                        "-A takes an address of this machine, not `{value}`"
                    ))
                })?);
            }
            "proxy" => server.proxy = Some(value.to_owned()),
            "nodelay" => {}
            "debug" => self.debug = true,
            "quiet" => self.quiet = true,
            "qos" => self.qos = qos(name, value)?,
            "will-topic" => self.will().topic = Some(value.to_owned()),
            "will-payload" => self.will().payload = Some(value.to_owned()),
            "will-qos" => self.will().qos = Some(qos(name, value)?),
            "will-retain" => self.will().retain = true,
            "topic" => self.add_topic(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn will(&mut self) -> &mut Will {
        self.will.get_or_insert_default()
    }

    fn add_topic(&mut self, value: &str) -> Result<(), Failure> {
        let is_filter = self.tool == Tool::Sub;
        let checked = if is_filter {
            topic::validate_filter(value)
        } else {
            topic::validate_name(value.as_bytes()).map(drop)
        };
        checked.map_err(|error| Failure::usage(format!("-t {value}: {error}")))?;
        if is_filter {
            self.topics.push(value.to_owned());
        } else {
            self.topics = vec![value.to_owned()];
        }
        Ok(())
    }

    /// `mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC`, or a URL of another scheme as the client takes it.
    fn take_url(&mut self, value: &str) -> Result<(), Failure> {
        let (scheme, rest) = value
            .split_once("://")
            .ok_or_else(|| Failure::usage("-L takes mqtt://HOST/TOPIC or mqtts://HOST/TOPIC"))?;
        match scheme {
            "mqtt" => {}
            "mqtts" => self.tls.is_wanted = true,
            _ => {
                self.server.url = Some(value.to_owned());
                return Ok(());
            }
        }
        let (authority, topic) = rest
            .split_once('/')
            .ok_or_else(|| Failure::usage("-L: the topic behind the server is missing"))?;
        let authority = match authority.rsplit_once('@') {
            None => authority,
            Some((user, authority)) => {
                let (name, password) = user
                    .split_once(':')
                    .map_or((user, None), |(name, password)| (name, Some(password)));
                self.server.username = Some(name.to_owned());
                self.server.password = password.map(str::to_owned);
                authority
            }
        };
        let (host, port_text) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        host.trim_matches(['[', ']'])
            .clone_into(&mut self.server.host);
        self.server.port = port_text.map(port).transpose()?;
        if topic.is_empty() {
            return Ok(());
        }
        self.add_topic(topic)
    }

    fn tls_flag(&mut self, name: &str, value: &str) -> Result<bool, Failure> {
        let tls = &mut self.tls;
        match name {
            "cafile" => tls.ca_files.push(value.into()),
            "capath" => tls.ca_folders.push(value.into()),
            "tls-use-os-certs" => tls.is_wanted = true,
            "cert" => tls.cert = Some(value.into()),
            "key" => tls.key = Some(value.into()),
            "key-password" => tls.key_password = Some(value.to_owned()),
            "insecure" => tls.insecure = true,
            "allow-self-signed" => tls.allow_self_signed = true,
            "pin" => tls.pin = Some(value.to_owned()),
            "server-name" => tls.server_name = Some(value.to_owned()),
            "tls-alpn" => tls.alpn = Some(value.to_owned()),
            "tls-version" if matches!(value, "tlsv1.2" | "tlsv1.3") => {}
            "tls-version" => {
                return Err(Failure::usage(format!(
                    "--tls-version takes tlsv1.2 or tlsv1.3, not `{value}`"
                )));
            }
            "keyform" if value == "pem" => {}
            "ciphers"
            | "tls-engine"
            | "tls-engine-kpass-sha1"
            | "psk"
            | "psk-identity"
            | "keyform" => {
                return Err(Failure::usage(format!(
                    "--{name} {value} is not supported: TLS is rustls here, whose suites are fixed and which has no engines and no pre-shared keys; leave it out"
                )));
            }
            _ => return Ok(false),
        }
        tls.is_wanted |= matches!(name, "cafile" | "capath" | "allow-self-signed" | "pin");
        Ok(true)
    }

    fn message_flag(&mut self, name: &str, value: &str) -> Result<bool, Failure> {
        let message = &mut self.message;
        let source = match name {
            "message" => Some(Source::Text(value.to_owned())),
            "file" => Some(Source::File(value.into())),
            "stdin-file" => Some(Source::Stdin),
            "stdin-line" => Some(Source::Lines),
            "null-message" => Some(Source::Nothing),
            "replay" => Some(Source::Replay(value.into())),
            _ => None,
        };
        if let Some(source) = source {
            if message.source.is_some() {
                return Err(Failure::usage(
                    "only one of -m, -f, -s, -l, -n and --replay can be given",
                ));
            }
            message.source = Some(source);
            return Ok(true);
        }
        match name {
            "retain" => message.retain = true,
            "outbox" => message.outbox = Some(value.into()),
            "max-inflight" => {
                let number = within(name, value, 1, 65_535)?;
                message.max_inflight = u16::try_from(number).ok();
            }
            "repeat" => message.repeat = within(name, value, 1, u64::from(u32::MAX))?,
            "repeat-delay" => message.repeat_delay = seconds(name, value)?,
            "rate" => {
                let rate: Option<f64> = value.parse().ok();
                message.rate = Some(
                    rate.filter(|rate| *rate > 0.0 && rate.is_finite())
                        .ok_or_else(|| {
                            Failure::usage(format!("--rate takes messages a second, not `{value}`"))
                        })?,
                );
            }
            "response-topic" => {
                topic::validate_name(value.as_bytes())
                    .map_err(|error| Failure::usage(format!("-e {value}: {error}")))?;
                message.response_topic = Some(value.to_owned());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn receive_flag(&mut self, name: &str, value: &str) -> Result<bool, Failure> {
        let receive = &mut self.receive;
        let filter = || {
            topic::validate_filter(value)
                .map(|()| value.to_owned())
                .map_err(|error| Failure::usage(format!("{value}: {error}")))
        };
        match name {
            "count" => receive.count = Some(within(name, value, 1, i32::MAX as u64)?),
            "timeout" => {
                receive.timeout = Some(Duration::from_secs(within(
                    name,
                    value,
                    1,
                    i32::MAX as u64,
                )?));
            }
            "exit-when-subscribed" => receive.exit_when_subscribed = true,
            "format" => receive.format = Some(Format::parse(value)?),
            "no-newline" => receive.no_newline = true,
            "no-retained" => receive.no_retained = true,
            "verbose" => receive.verbose = true,
            "filter-out" => receive.filter_out.push(filter()?),
            "unsubscribe" => receive.unsubscribe.push(filter()?),
            "pretty" => receive.pretty = true,
            "retained-only" => receive.retained_only = true,
            "remove-retained" => receive.remove_retained = true,
            "retain-as-published" => receive.retain_as_published = true,
            "random-filter" => {
                let percent: Option<f64> = value.parse().ok();
                receive.random_filter =
                    Some(percent.filter(|percent| *percent > 0.0).ok_or_else(|| {
                        Failure::usage(format!("--random-filter takes a percentage, not `{value}`"))
                    })?);
            }
            "json" => receive.json = true,
            "payload-format" => receive.payload_format = Some(PayloadFormat::of_name(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn check(&mut self) -> Result<(), Failure> {
        let wrong = |text: &str| Err(Failure::usage(text));
        let has_source = self.message.source.is_some();
        let is_replay = matches!(self.message.source, Some(Source::Replay(_)));
        match self.tool {
            Tool::Sub if self.topics.is_empty() && self.receive.unsubscribe.is_empty() => {
                return wrong("-t is missing: what is to be subscribed");
            }
            Tool::Pub if !has_source && self.message.outbox.is_some() => {}
            Tool::Pub if !has_source || (self.topics.is_empty() && !is_replay) => {
                return wrong(
                    "a topic (-t) and a message (-m, -f, -s, -l, -n or --replay) are needed",
                );
            }
            Tool::Rr
                if !has_source
                    || self.topics.is_empty()
                    || self.message.response_topic.is_none() =>
            {
                return wrong(
                    "a topic (-t), a message (-m, -f, -s or -n) and a response topic (-e) are needed",
                );
            }
            _ => {}
        }
        if self.server.keep_session && self.server.client_id.as_deref().is_none_or(str::is_empty) {
            return wrong(
                "-c needs a client identifier (-i) by which the server finds the session",
            );
        }
        if let Some(will) = &self.will
            && will.topic.is_none()
        {
            return wrong("--will-payload, --will-qos and --will-retain need --will-topic");
        }
        if self.server.version != Version::V5
            && self.server.password.is_some()
            && self.server.username.is_none()
        {
            return wrong("-P needs -u: before MQTT 5.0 there is no password without a user name");
        }
        let tls = &self.tls;
        if tls.key.is_some() && tls.cert.is_none() {
            return wrong("--key needs --cert");
        }
        Ok(())
    }
}

fn port(value: &str) -> Result<u16, Failure> {
    let port = value.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| Failure::usage(format!("`{value}` is no port; ports go from 1 to 65535")))
}

fn version(value: &str) -> Result<Version, Failure> {
    Ok(match value {
        "mqttv5" | "5" => Version::V5,
        "mqttv311" | "311" => Version::V311,
        "mqttv31" | "31" => Version::V31,
        _ => {
            return Err(Failure::usage(format!(
                "-V takes mqttv5, mqttv311 or mqttv31, not `{value}`"
            )));
        }
    })
}

fn session_expiry(value: &str) -> Result<u32, Failure> {
    if matches!(value, "-1" | "∞") {
        return Ok(u32::MAX);
    }
    value.parse().map_err(|_| {
        Failure::usage(format!(
            "-x takes seconds, or -1 for a session without end, not `{value}`"
        ))
    })
}

fn qos(name: &str, value: &str) -> Result<Qos, Failure> {
    Ok(match value {
        "0" => Qos::AtMostOnce,
        "1" => Qos::AtLeastOnce,
        "2" => Qos::ExactlyOnce,
        _ => {
            return Err(Failure::usage(format!(
                "--{name} takes 0, 1 or 2, not `{value}`"
            )));
        }
    })
}

fn within(name: &str, value: &str, min: u64, max: u64) -> Result<u64, Failure> {
    let number = value
        .parse()
        .ok()
        .filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| {
        Failure::usage(format!(
            "{name} takes a number from {min} to {max}, not `{value}`"
        ))
    })
}

fn seconds(name: &str, value: &str) -> Result<Duration, Failure> {
    let secs: Option<f64> = value.parse().ok();
    secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok())
        .ok_or_else(|| Failure::usage(format!("--{name} takes seconds, not `{value}`")))
}
