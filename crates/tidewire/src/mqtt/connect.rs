//! From flags to a client.

use std::time::Duration;

use tidewire_client::codec::{Carrier, PropertyId};
use tidewire_client::{
    Builder, Client, DiskOutbox, LastWill, OutboxLimits, Publish, Qos, Tls, Version,
};

use super::Failure;
use super::options::{Options, TlsOptions};

/// The options of the client that the flags describe.
///
/// # Errors
/// Properties that cannot be.
pub(crate) fn builder(options: &mut Options) -> Result<Builder, Failure> {
    let mut builder = Client::builder(&url(options)).version(options.server.version);
    let server = &options.server;
    builder = builder.keep_alive(server.keep_alive);
    let id = server.client_id.clone();
    let id =
        id.unwrap_or_else(|| format!("tidewire_{}_{}", options.tool.name(), std::process::id()));
    builder = builder.client_id(&id);
    builder = match (&server.username, &server.password) {
        (Some(name), Some(password)) => builder.credentials(name, password),
        (Some(name), None) => builder.username(name),
        (None, Some(password)) => builder.password(password),
        (None, None) => builder,
    };
    if let Some(address) = server.bind {
        builder = builder.bind(address);
    }
    if let Some(proxy) = &server.proxy {
        builder = builder.proxy(proxy);
    }
    if let Some(messages) = options.message.max_inflight {
        builder = builder.max_inflight(messages);
    }
    if let Some(folder) = &options.message.outbox {
        let outbox = DiskOutbox::open(folder, OutboxLimits::default());
        builder = builder.outbox(outbox.map_err(|error| Failure::usage(error.to_string()))?);
    }
    let builder = session(options, builder);
    let builder = connect_properties(options, builder)?;
    let tls = tls(&options.tls);
    if options.tls.is_wanted || options.tls.cert.is_some() {
        // Wrong files are told even where the connection would not need them.
        tls.check()
            .map_err(|error| Failure::usage(error.to_string()))?;
    }
    let builder = builder.tls(tls);
    match will(options)? {
        Some(will) => Ok(builder.will(will)),
        None => Ok(builder),
    }
}

fn url(options: &Options) -> String {
    let server = &options.server;
    if let Some(url) = &server.url {
        return url.clone();
    }
    if let Some(path) = &server.unix {
        return format!("unix://{path}");
    }
    let is_encrypted = options.tls.is_wanted || server.port == Some(8883);
    let scheme = if is_encrypted { "mqtts" } else { "mqtt" };
    let host = if server.host.contains(':') && !server.host.starts_with('[') {
        format!("[{}]", server.host)
    } else {
        server.host.clone()
    };
    match server.port {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

fn session(options: &mut Options, builder: Builder) -> Builder {
    let given = options
        .properties
        .take_number(Carrier::Connect, PropertyId::SessionExpiryInterval);
    let server = &options.server;
    let expiry = given.or(server.session_expiry);
    if server.keep_session {
        let secs = expiry.unwrap_or(u32::MAX);
        return builder.keep_session(Duration::from_secs(secs.into()));
    }
    match expiry {
        Some(secs) if server.version == Version::V5 => {
            let builder = builder.keep_session(Duration::from_secs(secs.into()));
            builder.clean_start()
        }
        _ => builder,
    }
}

fn connect_properties(options: &mut Options, builder: Builder) -> Result<Builder, Failure> {
    let mut builder = builder;
    let given = &mut options.properties;
    let mut number = |id| given.take_number(Carrier::Connect, id);
    if let Some(messages) = number(PropertyId::ReceiveMaximum) {
        builder = builder.receive_maximum(u16::try_from(messages).unwrap_or(u16::MAX));
    }
    if let Some(bytes) = number(PropertyId::MaximumPacketSize) {
        builder = builder.max_packet_size(bytes);
    }
    let aliases = number(PropertyId::TopicAliasMaximum);
    if options.server.version == Version::V5 {
        // Aliases would show among the properties that are printed.
        let aliases = u16::try_from(aliases.unwrap_or(0)).unwrap_or(u16::MAX);
        builder = builder.topic_alias_maximum(aliases);
    }
    let rest = given.take(Carrier::Connect)?;
    Ok(if rest.is_empty() {
        builder
    } else {
        builder.properties(&rest)
    })
}

fn will(options: &mut Options) -> Result<Option<LastWill>, Failure> {
    let Some(will) = &options.will else {
        return Ok(None);
    };
    let topic = will.topic.clone().unwrap_or_default();
    let payload = will.payload.clone().unwrap_or_default();
    let mut message = Publish::new(topic, payload).qos(will.qos.unwrap_or(Qos::AtMostOnce));
    if will.retain {
        message = message.retained();
    }
    let given = &mut options.properties;
    let delay = given.take_number(Carrier::Will, PropertyId::WillDelayInterval);
    message = message.properties(&given.take(Carrier::Will)?);
    let will = LastWill::new(message);
    Ok(Some(match delay {
        Some(secs) => will.delay(Duration::from_secs(secs.into())),
        None => will,
    }))
}

fn tls(options: &TlsOptions) -> Tls {
    let mut tls = Tls::new();
    for file in &options.ca_files {
        tls = tls.ca_file(file);
    }
    for folder in &options.ca_folders {
        tls = tls.ca_folder(folder);
    }
    if let Some(cert) = &options.cert {
        tls = match &options.key {
            Some(key) => tls.identity(cert, key),
            None => tls.identity_file(cert),
        };
    }
    if let Some(password) = &options.key_password {
        tls = tls.key_password(password);
    }
    if options.allow_self_signed {
        tls = tls.allow_self_signed();
    }
    if options.insecure {
        tls = tls.danger_accept_any_name();
    }
    if let Some(fingerprint) = &options.pin {
        tls = tls.pin_sha256(fingerprint);
    }
    if let Some(name) = &options.server_name {
        tls = tls.server_name(name);
    }
    if let Some(protocol) = &options.alpn {
        tls = tls.alpn(protocol);
    }
    tls
}
