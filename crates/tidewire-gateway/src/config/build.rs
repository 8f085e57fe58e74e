//! From checked values to settings, and what is wrong only together.

use super::Config;
use super::read::{Reader, Section};
use crate::hub::HubSettings;
use crate::pipeline::{Compression, DeadBand, Overflow, SpoolLimits};
use crate::source::{LevelTemplate, ModbusUrl};
use crate::source::{
    ModbusSettings, MqttInSettings, Register, SimulatorSettings, SourceSettings, SystemSettings,
};
use crate::uplink::topic::Template;
use crate::uplink::{Order, Payload, Secret, TlsFiles, TopicSettings, UplinkSettings};
use serde_json::Value as Json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tidewire_client::Version;

/// An app.
#[derive(Clone, PartialEq, Debug)]
pub struct AppSettings {
    /// Its name.
    pub name: Box<str>,
    /// Its program.
    pub file: PathBuf,
    /// Its configuration.
    pub conf: Json,
    /// Whether it starts with the gateway.
    pub start: bool,
}

type Sections = [(&'static str, Section)];

pub(super) fn build(reader: &mut Reader<'_>, sections: &Sections) -> Config {
    let mut config = Config {
        id: "".into(),
        data_dir: PathBuf::new(),
        log: String::new(),
        hub: HubSettings::default(),
        commit: Duration::ZERO,
        store: SpoolLimits::default(),
        page: None,
        uplinks: Vec::new(),
        sources: Vec::new(),
        apps: Vec::new(),
    };
    for (name, section) in sections {
        match *name {
            "gateway" => {
                config.id = section.boxed("id");
                config.data_dir = section.path("data_dir").unwrap_or_default();
                config.log = section.text("log").unwrap_or_default().to_owned();
            }
            "pipeline" => {
                config.hub = hub(section);
                config.commit = Duration::from_millis(section.integer("commit_ms"));
            }
            "store" => config.store = store(section),
            "page" => config.page = page(reader, section),
            "app" => config.apps.push(app(section)),
            "simulator" | "system" | "mqtt_in" | "modbus" => {
                config.sources.extend(source(reader, name, section));
            }
            _ => {}
        }
    }
    let uplinks = sections.iter().filter(|(name, _)| *name == "uplink");
    for (_, section) in uplinks {
        let uplink = uplink(reader, section, &config.id);
        let is_known = config.uplinks.iter().any(|known| known.name == uplink.name);
        if is_known {
            let help = "the log remembers each uplink by its name: give each another".to_owned();
            reader.fault(
                &section.span("name"),
                format!("two uplinks are named `{}`", uplink.name),
                Some(help),
            );
        }
        config.uplinks.push(uplink);
    }
    unique_names(reader, sections);
    config
}

/// Sources and apps are the `app` of their devices: two of a name would mix.
fn unique_names(reader: &mut Reader<'_>, sections: &Sections) {
    let mut known: Vec<&str> = Vec::new();
    for (table, section) in sections {
        if !matches!(
            *table,
            "simulator" | "system" | "mqtt_in" | "modbus" | "app"
        ) {
            continue;
        }
        let name = section.text("name").unwrap_or_default();
        if known.contains(&name) {
            let help = "write another `name`".to_owned();
            reader.fault(
                &section.span("name"),
                format!("two sources or apps are named `{name}`"),
                Some(help),
            );
        }
        known.push(name);
    }
}

fn millis(secs: f64) -> u64 {
    (secs * 1000.0).round() as u64
}

fn secs(section: &Section, key: &str) -> Duration {
    Duration::from_millis(millis(section.number(key)))
}

fn hub(section: &Section) -> HubSettings {
    HubSettings {
        dead_band: DeadBand {
            absolute: section.number("dead_band"),
            percent: section.number("dead_band_percent"),
            refresh_ms: u32::try_from(millis(section.number("refresh_secs"))).unwrap_or(u32::MAX),
        },
        buffer_points: section.small("buffer_points"),
        max_events_per_minute: section.small("max_events_per_minute"),
        max_series: section.small("max_series"),
    }
}

fn store(section: &Section) -> SpoolLimits {
    SpoolLimits {
        max_bytes: section.integer("max_bytes"),
        max_age_ms: i64::try_from(millis(section.number("max_age_secs"))).unwrap_or(i64::MAX),
        min_free_bytes: section.integer("min_free_bytes"),
        segment_bytes: section.integer("segment_bytes"),
        overflow: match section.text("when_full") {
            Some("drop_newest") => Overflow::DropNewest,
            Some("hold") => Overflow::Hold,
            _ => Overflow::DropOldest,
        },
    }
}

fn page(reader: &mut Reader<'_>, section: &Section) -> Option<SocketAddr> {
    let text = section.text("listen")?;
    let span = section.span("listen");
    let Ok(address) = text.parse::<SocketAddr>() else {
        let help = "write `listen = \"127.0.0.1:8077\"`".to_owned();
        reader.fault(
            &span,
            format!("\"{text}\" is not an address with a port"),
            Some(help),
        );
        return None;
    };
    if !address.ip().is_loopback() {
        let help =
            "listen on 127.0.0.1 and reach it through SSH or a proxy that asks for a password"
                .to_owned();
        reader.fault(
            &span,
            "the page asks nobody for a password, so it is served on loopback addresses only",
            Some(help),
        );
        return None;
    }
    Some(address)
}

fn app(section: &Section) -> AppSettings {
    AppSettings {
        name: section.boxed("name"),
        file: section.path("file").unwrap_or_default(),
        conf: section
            .json("conf")
            .cloned()
            .unwrap_or_else(|| Json::Object(serde_json::Map::new())),
        start: section.flag("start"),
    }
}

fn uplink(reader: &mut Reader<'_>, section: &Section, gateway: &str) -> UplinkSettings {
    let name = section.boxed("name");
    if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    {
        let help = "it is part of a file's name: use letters, digits, `-` and `_`".to_owned();
        reader.fault(
            &section.span("name"),
            format!("`{name}` cannot be the name of an uplink"),
            Some(help),
        );
    }
    let mut servers = vec![section.text("url").unwrap_or_default().to_owned()];
    servers.extend(section.texts("or_urls").iter().cloned());
    for (at, server) in servers.iter().enumerate() {
        let key = if at == 0 { "url" } else { "or_urls" };
        if let Err(error) = server.parse::<tidewire_client::ServerUrl>()
            && !server.is_empty()
        {
            reader.fault(&section.span(key), error.to_string(), None);
        }
    }
    let payload = match section.text("payload") {
        Some("freeioe") => Payload::FreeIoe,
        _ => Payload::Batch,
    };
    let compression = match section.text("compression") {
        Some("deflate") => Compression::Deflate,
        Some("zstd") => Compression::Zstd,
        _ => Compression::None,
    };
    if payload == Payload::FreeIoe && compression != Compression::None {
        let help = "remove it, or write `payload = \"batch\"`".to_owned();
        reader.fault(
            &section.span("compression"),
            "`freeioe` has no compressed payloads",
            Some(help),
        );
    }
    UplinkSettings {
        topics: topics(reader, section, &payload),
        client_id: section.text("client_id").unwrap_or(gateway).into(),
        username: section.text("username").map(Box::from),
        password: password(reader, section),
        version: if section.text("version") == Some("3.1.1") {
            Version::V311
        } else {
            Version::V5
        },
        keep_alive: Duration::from_secs(section.integer("keep_alive_secs")),
        tls: TlsFiles {
            ca_file: section.path("ca_file"),
            cert_file: section.path("cert_file"),
            key_file: section.path("key_file"),
        },
        batch_points: section.small("batch_points"),
        batch_bytes: section.small("batch_bytes"),
        batch_age: secs(section, "batch_secs"),
        window: section.small("max_in_flight"),
        order: if section.text("order") == Some("live_first") {
            Order::LiveFirst
        } else {
            Order::Strict
        },
        backfill_rate: section.small("backfill_points_per_sec"),
        downlink: section.flag("downlink"),
        request_timeout: secs(section, "request_timeout_secs"),
        name,
        servers,
        payload,
        compression,
    }
}

fn password(reader: &mut Reader<'_>, section: &Section) -> Option<Secret> {
    let given = section.text("password");
    let Some(file) = section.path("password_file") else {
        return given.map(|text| Secret(text.into()));
    };
    let span = section.span("password_file");
    if given.is_some() {
        reader.fault(
            &span,
            "`password` and `password_file` are both given",
            Some("remove one of them".to_owned()),
        );
    }
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(Secret(text.lines().next().unwrap_or_default().into())),
        Err(error) => {
            reader.fault(
                &span,
                format!("{} cannot be read: {error}", file.display()),
                None,
            );
            None
        }
    }
}

fn topics(reader: &mut Reader<'_>, section: &Section, payload: &Payload) -> TopicSettings {
    let prefix = match payload {
        Payload::FreeIoe => "/",
        Payload::Batch => "tidewire/{gateway}/",
    };
    let mut topic = |key: &str, name: &str| {
        let text = section
            .text(key)
            .map_or_else(|| format!("{prefix}{name}"), str::to_owned);
        Template::parse(&text).unwrap_or_else(|error| {
            reader.fault(&section.span(key), format!("`{key}`: {error}"), None);
            Template::default()
        })
    };
    let request = topic("request_topic", "");
    let result = match section.text("result_topic") {
        Some(_) => topic("result_topic", ""),
        None => request.clone(),
    };
    TopicSettings {
        data: topic("data_topic", "data"),
        event: topic("event_topic", "event"),
        stat: topic("stat_topic", "statistics"),
        devices: topic("devices_topic", "devices"),
        status: topic("status_topic", "status"),
        result,
        request,
    }
}

fn source(reader: &mut Reader<'_>, table: &str, section: &Section) -> Option<SourceSettings> {
    let name = section.boxed("name");
    Some(match table {
        "simulator" => SourceSettings::Simulator(SimulatorSettings {
            name,
            devices: section.small("devices"),
            inputs: section.small("inputs"),
            interval: Duration::from_millis(section.integer("interval_ms")),
            shape: section.boxed("shape"),
        }),
        "system" => SourceSettings::System(SystemSettings {
            name,
            sn: section.boxed("sn"),
            interval: secs(section, "interval_secs"),
        }),
        "mqtt_in" => SourceSettings::MqttIn(MqttInSettings {
            name,
            url: section.text("url").unwrap_or_default().to_owned(),
            client_id: section.text("client_id").map(Box::from),
            username: section.text("username").map(Box::from),
            password: section.text("password").map(|text| Secret(text.into())),
            filter: section.boxed("filter"),
            sn: LevelTemplate::new(section.text("sn").unwrap_or_default()),
            input: section.text("input").map(LevelTemplate::new),
            value: section.boxed("value"),
            time: section.text("time").map(Box::from),
        }),
        _ => {
            let url = section.text("url").unwrap_or_default();
            let parsed = ModbusUrl::parse(url);
            let parsed = parsed
                .map_err(|error| reader.fault(&section.span("url"), error, None))
                .ok()?;
            SourceSettings::Modbus(ModbusSettings {
                name,
                sn: section.boxed("sn"),
                url: parsed,
                unit: section.small("unit"),
                interval: Duration::from_millis(section.integer("interval_ms")),
                timeout: Duration::from_millis(section.integer("timeout_ms")),
                retry_max: Duration::from_secs(section.integer("retry_max_secs")),
                max_gap: section.small("max_gap"),
                registers: registers(reader, section),
            })
        }
    })
}

fn registers(reader: &mut Reader<'_>, section: &Section) -> Vec<Register> {
    let mut registers: Vec<Register> = Vec::new();
    for row in section.tables("register") {
        let register = Register {
            input: row.boxed("input"),
            desc: row.boxed("desc"),
            unit: row.boxed("unit"),
            table: row.boxed("table"),
            address: row.small("address"),
            kind: row.boxed("type"),
            order: row.boxed("order"),
            bit: row.small("bit"),
            length: row.small("length"),
            scale: row.number("scale"),
            offset: row.number("offset"),
            interval: row.integer_if_set("interval_ms").map(Duration::from_millis),
            writable: row.flag("writable"),
            dead_band: row.number_if_set("dead_band"),
        };
        if let Err(error) = register.check() {
            reader.fault(
                &row.span,
                format!("register `{}`: {error}", register.input),
                None,
            );
        }
        if registers.iter().any(|known| known.input == register.input) {
            reader.fault(
                &row.span("input"),
                format!("two registers are named `{}`", register.input),
                None,
            );
        }
        registers.push(register);
    }
    if registers.is_empty() {
        let help = "write [[modbus.register]] with `input` and `address` below it".to_owned();
        reader.fault(&section.span, "the device has no register", Some(help));
    }
    registers
}
