//! From the text of a file to settings, or to everything that is wrong with it.

use super::accept::{Problem, check};
use super::diagnostic::{Diagnostic, Position};
use super::key::{Access, Key, Kind, Section};
use super::value::Value;
use super::{Config, Handler, Listener, suggest, table, ways};
use std::ops::Range;
use tidewire_broker::handlers::CertificatePassword;
use tidewire_net::ClientCertificate;
use toml::de::{DeTable, DeValue};

/// Reads `text`; `file` is its name in messages. All that is wrong is reported, in the order of the file.
pub(crate) fn read(file: &str, text: &str) -> Result<Config, Vec<Diagnostic>> {
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        file,
        text,
        found: Vec::new(),
        urls: Vec::new(),
        spans: Vec::new(),
    };
    // A line that is not TOML leaves a value that is no value: its first message is enough.
    let mut broken = Vec::new();
    for error in &syntax_errors {
        let span = error.span().unwrap_or(0..0);
        let line = Position::of(text, span.start).line;
        if !broken.contains(&line) {
            broken.push(line);
            reader.report(&span, error.message(), None);
        }
    }
    let syntax = reader.found.len();
    let config = reader.document(document.get_ref());
    if reader.found.is_empty() {
        return Ok(config);
    }
    let meaning = reader.found.split_off(syntax);
    let elsewhere = |found: &Diagnostic| found.position.is_none_or(|at| !broken.contains(&at.line));
    reader.found.extend(meaning.into_iter().filter(elsewhere));
    reader.found.sort_by_key(|diagnostic| diagnostic.position);
    Err(reader.found)
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<Diagnostic>,
    /// Where the `url` of each listener stands.
    urls: Vec<Option<Range<usize>>>,
    /// Where each handler stands.
    spans: Vec<Range<usize>>,
}

impl Reader<'_> {
    fn report(&mut self, span: &Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.found.push(Diagnostic {
            file: self.file.to_owned(),
            position: Some(Position::of(self.text, span.start)),
            message: message.into(),
            help,
        });
    }

    fn document(&mut self, document: &DeTable<'_>) -> Config {
        let mut config = Config::default();
        for (name, value) in document {
            let Some(section) = Section::ALL
                .into_iter()
                .find(|section| section.name() == name.get_ref())
            else {
                let what = if value.get_ref().is_table() {
                    "unknown table"
                } else {
                    "unknown key"
                };
                let help = suggest::for_unknown_section(name.get_ref());
                self.report(
                    &name.span(),
                    format!("{what} `{}`", name.get_ref()),
                    Some(help),
                );
                continue;
            };
            if section == Section::Listener {
                self.listeners(&mut config, name.span(), value.get_ref());
            } else if section == Section::Handler {
                self.handlers(&mut config, &name.span(), value.get_ref());
            } else if let DeValue::Table(table) = value.get_ref() {
                self.table(section, table, |key, value| {
                    if let Access::Broker { set, .. } = key.access {
                        set(&mut config, value);
                    }
                });
            } else {
                let header = section.header();
                let help = format!("write {header} on a line of its own, and the keys below it");
                self.report(
                    &name.span(),
                    format!("`{}` is a table", section.name()),
                    Some(help),
                );
            }
        }
        self.access(&config);
        self.handled(&config);
        config
    }

    fn handlers(&mut self, config: &mut Config, header: &Range<usize>, value: &DeValue<'_>) {
        let DeValue::Array(items) = value else {
            let help = "there may be several handlers: write [[handler]] with two brackets";
            self.report(
                header,
                "`handler` is a list of tables",
                Some(help.to_owned()),
            );
            return;
        };
        for item in items.iter() {
            let DeValue::Table(table) = item.get_ref() else {
                let help = "write [[handler]] on a line of its own, and the keys below it";
                self.report(&item.span(), "a handler is a table", Some(help.to_owned()));
                continue;
            };
            let mut handler = Handler::default();
            self.table(Section::Handler, table, |key, value| {
                if let Access::Handler { set, .. } = key.access {
                    set(&mut handler, value);
                }
            });
            if let Some((message, help)) = handler.fault() {
                self.report(&item.span(), message, Some(help));
            }
            self.spans.push(item.span());
            config.handlers.push(handler);
        }
    }

    /// What is right or wrong with handlers only together with others.
    fn handled(&mut self, config: &Config) {
        let spans = std::mem::take(&mut self.spans);
        for (at, (handler, span)) in config.handlers.iter().zip(spans).enumerate() {
            let title = handler.title();
            if config.handlers[..at]
                .iter()
                .any(|other| other.title() == title)
            {
                let help = "give each handler a `name` of its own".to_owned();
                self.report(
                    &span,
                    format!("two handlers are called \"{title}\""),
                    Some(help),
                );
            }
            for name in &handler.listeners {
                let names = || {
                    config
                        .listeners
                        .iter()
                        .map(|listener| listener.name.as_str())
                };
                if !names().any(|known| known == name) {
                    let help = match suggest::closest(name, names()) {
                        Some(meant) => format!("did you mean \"{meant}\"?"),
                        None => {
                            format!(
                                "the listeners are {}",
                                suggest::quoted(&names().collect::<Vec<_>>())
                            )
                        }
                    };
                    self.report(
                        &span,
                        format!("there is no listener \"{name}\""),
                        Some(help),
                    );
                }
            }
        }
    }

    /// What is right or wrong only together with other tables.
    fn access(&mut self, config: &Config) {
        let urls = std::mem::take(&mut self.urls);
        for (listener, url) in config.listeners.iter().zip(urls) {
            let lets_in = config.is_open(listener) || config.authenticates(listener);
            if let (Some(span), false) = (url.clone(), lets_in) {
                let problem = closed(listener);
                self.report(&span, problem.message, Some(problem.help));
            } else if let (Some(span), Some(problem)) = (url, unusable_identity(config, listener)) {
                self.report(&span, problem.message, Some(problem.help));
            }
        }
    }

    fn table(&mut self, section: Section, table: &DeTable<'_>, mut set: impl FnMut(&Key, Value)) {
        for (name, value) in table {
            let Some(key) = table::find(section, name.get_ref()) else {
                let help = suggest::for_unknown_key(section, name.get_ref());
                let message = format!("unknown key `{}` in {}", name.get_ref(), section.header());
                self.report(&name.span(), message, Some(help));
                continue;
            };
            match check(key, value.get_ref()) {
                Ok(value) => set(key, value),
                Err(problem) => {
                    self.report(
                        &value.span(),
                        format!("`{}`: {}", key.name, problem.message),
                        Some(problem.help),
                    );
                }
            }
        }
    }

    fn listeners(&mut self, config: &mut Config, header: Range<usize>, value: &DeValue<'_>) {
        let DeValue::Array(items) = value else {
            let help =
                "there may be several listeners: write [[listener]] with two brackets".to_owned();
            self.report(&header, "`listener` is a list of tables", Some(help));
            return;
        };
        config.listeners.clear();
        for item in items.iter() {
            if let DeValue::Table(table) = item.get_ref() {
                self.listener(config, item.span(), table);
            } else {
                let help =
                    "write [[listener]] on a line of its own, and the keys below it".to_owned();
                self.report(&item.span(), "a listener is a table", Some(help));
            }
        }
        if items.is_empty() {
            self.report(
                &header,
                "no listener is left: nobody could connect",
                Some("remove the line".to_owned()),
            );
        }
    }

    fn listener(&mut self, config: &mut Config, span: Range<usize>, table: &DeTable<'_>) {
        let mut listener = Listener::default();
        self.table(Section::Listener, table, |key, value| {
            if let Access::Listener { set, .. } = key.access {
                set(&mut listener, value);
            }
        });
        let place = |name: &str| {
            table
                .iter()
                .find(|(key, _)| key.get_ref() == name)
                .map(|(_, value)| value.span())
        };
        match place("url") {
            None => {
                let help = suggest::example("url", Kind::Url);
                self.report(&span, "the listener has no `url`", Some(help));
            }
            Some(url_span)
                if config
                    .listeners
                    .iter()
                    .any(|other| !listener.url.is_any_port() && other.url == listener.url) =>
            {
                self.report(
                    &url_span,
                    format!("two listeners open {}", listener.url),
                    Some("change a port".to_owned()),
                );
            }
            Some(url_span) => {
                if let Some(problem) = ways::missing(&listener) {
                    self.report(&url_span, problem.message, Some(problem.help));
                }
            }
        }
        if config
            .listeners
            .iter()
            .any(|other| other.name == listener.name)
        {
            let help = "give each listener a `name` of its own".to_owned();
            let message = format!("two listeners are called \"{}\"", listener.name);
            self.report(&place("name").unwrap_or(span), message, Some(help));
        }
        self.urls.push(place("url"));
        config.listeners.push(listener);
    }
}

/// What to say about certificates that are to name clients and cannot.
fn unusable_identity(config: &Config, listener: &Listener) -> Option<Problem> {
    let wants_password = listener.certificate_password == CertificatePassword::Wanted;
    let shown = listener.ways.tls.client_certificate != ClientCertificate::Off
        || listener.ways.proxy_tls_identity;
    if listener.certificate_identity.is_none() {
        return wants_password.then(|| {
            let message = "`certificate_and_password` compares the user name with a certificate's name, and none is taken";
            Problem::new(message, "choose a `certificate_identity`, for instance \"common-name\"")
        });
    }
    if !shown {
        let message = "`certificate_identity` names clients by their certificates, and this listener asks for none";
        let help = "add `client_certificate = \"required\"` and a `client_ca_file`";
        return Some(Problem::new(message, help));
    }
    (wants_password && config.password_file.is_none()).then(|| {
        let message = "`certificate_and_password` wants passwords, and nobody checks them";
        Problem::new(
            message,
            "name a `password_file` in [auth] (`tidewire passwd` writes it)",
        )
    })
}

/// What to say about a listener that would let nobody in.
fn closed(listener: &Listener) -> Problem {
    let url = &listener.url;
    if listener.allow_anonymous == Some(false) {
        return Problem::new(
            format!(
                "{url} refuses anonymous clients and has no authenticator: nobody could come in"
            ),
            "name a `password_file` in [auth] (`tidewire passwd` writes it), or remove `allow_anonymous = false`",
        );
    }
    Problem::new(
        format!(
            "{url} is reachable from other machines and has no authenticator: everybody there could read and write everything"
        ),
        "name a `password_file` in [auth] (`tidewire passwd` writes it), add `allow_anonymous = true` to this [[listener]] if that is what you want, or listen on tcp://127.0.0.1",
    )
}
