//! What is asked, as views.

use super::properties;
use super::view::View;
use std::borrow::Cow;
use tidewire_codec::{Connect, Packet, Properties, Publish, Subscribe, Unsubscribe, Version, Will};
use tidewire_handler::{
    Ask, Authenticate, AuthenticationStage, AuthenticationStep, AuthorizePublish,
    AuthorizeSubscribe, BeforeConnect, Deliver, Origin, json,
};

/// Named values, in order.
pub(crate) type Fields<'a> = Vec<(Cow<'a, str>, View<'a>)>;

/// A question, as those see it who do not speak Rust.
pub(crate) trait Question: Ask {
    /// So many of the fields are arguments of their own for a script, the others stand in a table behind them.
    const ARGUMENTS: usize = 0;

    /// What the question consists of.
    fn fields(&self) -> Fields<'_>;

    /// The packet that it is about as a line of JSON.
    fn packet_line(&self, version: Version) -> Option<String> {
        let _ = version;
        None
    }
}

impl Question for BeforeConnect {
    fn fields(&self) -> Fields<'_> {
        Vec::new()
    }
}

impl Question for Connect<'_> {
    fn fields(&self) -> Fields<'_> {
        let mut fields = vec![
            ("client_id".into(), View::text(&self.client_id)),
            ("version".into(), View::Number(self.version.level().into())),
            ("clean_start".into(), View::Flag(self.clean_start)),
            (
                "keep_alive_secs".into(),
                View::Number(self.keep_alive_secs.into()),
            ),
            ("username".into(), View::maybe(self.username.as_deref())),
            ("password".into(), maybe_bytes(self.password.as_deref())),
        ];
        if let Some(will) = &self.will {
            fields.push(("will".into(), will_view(will)));
        }
        with_properties(&mut fields, &self.properties);
        fields
    }

    fn packet_line(&self, _: Version) -> Option<String> {
        Some(json::connect(self))
    }
}

impl Question for Authenticate<'_> {
    const ARGUMENTS: usize = 2;

    fn fields(&self) -> Fields<'_> {
        vec![
            ("username".into(), View::maybe(self.username.as_deref())),
            ("password".into(), maybe_bytes(self.password.as_deref())),
            ("client_id".into(), View::text(&self.client_id)),
            ("version".into(), View::Number(self.version.level().into())),
            ("method".into(), View::maybe(self.method.as_deref())),
            ("data".into(), maybe_bytes(self.data.as_deref())),
        ]
    }
}

impl Question for AuthenticationStep<'_> {
    const ARGUMENTS: usize = 2;

    fn fields(&self) -> Fields<'_> {
        vec![
            ("method".into(), View::text(&self.method)),
            ("data".into(), maybe_bytes(self.data.as_deref())),
            (
                "again".into(),
                View::Flag(self.stage == AuthenticationStage::Again),
            ),
        ]
    }
}

impl Question for AuthorizePublish<'_> {
    const ARGUMENTS: usize = 2;

    fn fields(&self) -> Fields<'_> {
        vec![
            ("topic".into(), View::text(&self.topic)),
            ("payload".into(), View::bytes(&self.payload)),
            ("qos".into(), View::Number(self.qos as i64)),
            ("retain".into(), View::Flag(self.retain)),
        ]
    }
}

impl Question for AuthorizeSubscribe<'_> {
    const ARGUMENTS: usize = 1;

    fn fields(&self) -> Fields<'_> {
        let options = self.options;
        vec![
            ("filter".into(), View::text(&self.filter)),
            ("share".into(), View::maybe(self.share.as_deref())),
            ("qos".into(), View::Number(options.qos as i64)),
            ("no_local".into(), View::Flag(options.no_local)),
            (
                "retain_as_published".into(),
                View::Flag(options.retain_as_published),
            ),
            (
                "retain_handling".into(),
                View::Number(options.retain_handling as i64),
            ),
        ]
    }
}

impl Question for Publish<'_> {
    fn fields(&self) -> Fields<'_> {
        let mut fields = Vec::with_capacity(6);
        put_publish(&mut fields, self);
        fields
    }

    fn packet_line(&self, version: Version) -> Option<String> {
        Some(json::packet(&Packet::Publish(borrowed(self)), version))
    }
}

impl Question for Subscribe<'_> {
    fn fields(&self) -> Fields<'_> {
        let filters = self.filters.iter().map(|wanted| {
            View::Map(vec![
                ("filter".into(), View::text(&wanted.filter)),
                ("qos".into(), View::Number(wanted.options.qos as i64)),
                ("no_local".into(), View::Flag(wanted.options.no_local)),
                (
                    "retain_as_published".into(),
                    View::Flag(wanted.options.retain_as_published),
                ),
                (
                    "retain_handling".into(),
                    View::Number(wanted.options.retain_handling as i64),
                ),
            ])
        });
        let mut fields = vec![("filters".into(), View::List(filters.collect()))];
        with_properties(&mut fields, &self.properties);
        fields
    }

    fn packet_line(&self, version: Version) -> Option<String> {
        Some(json::packet(&Packet::Subscribe(self.clone()), version))
    }
}

impl Question for Unsubscribe<'_> {
    fn fields(&self) -> Fields<'_> {
        let filters = self.filters.iter().map(|filter| View::text(filter));
        let mut fields = vec![("filters".into(), View::List(filters.collect()))];
        with_properties(&mut fields, &self.properties);
        fields
    }

    fn packet_line(&self, version: Version) -> Option<String> {
        Some(json::packet(&Packet::Unsubscribe(self.clone()), version))
    }
}

impl Question for Deliver<'_> {
    fn fields(&self) -> Fields<'_> {
        let mut fields = Vec::with_capacity(7);
        put_publish(&mut fields, &self.publish);
        fields.push(("origin".into(), origin(&self.origin)));
        fields
    }

    fn packet_line(&self, version: Version) -> Option<String> {
        Some(json::packet(
            &Packet::Publish(borrowed(&self.publish)),
            version,
        ))
    }
}

pub(super) fn put_publish<'a>(fields: &mut Fields<'a>, publish: &'a Publish<'_>) {
    fields.push(("topic".into(), View::text(&publish.topic)));
    fields.push(("payload".into(), View::bytes(&publish.payload)));
    fields.push(("qos".into(), View::Number(publish.qos as i64)));
    fields.push(("retain".into(), View::Flag(publish.retain)));
    with_properties(fields, &publish.properties);
}

/// Who published: the name of a client, or the server.
pub(super) fn origin(origin: &Origin) -> View<'_> {
    match origin {
        Origin::Server => View::Map(vec![("server".into(), View::Flag(true))]),
        Origin::Client {
            client_id,
            principal,
            listener,
        } => View::Map(vec![
            ("client_id".into(), View::text(client_id)),
            ("principal".into(), View::maybe(principal.as_deref())),
            ("listener".into(), View::Number((*listener).into())),
        ]),
    }
}

fn borrowed<'a>(publish: &'a Publish<'_>) -> Publish<'a> {
    Publish {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic: Cow::Borrowed(&publish.topic),
        packet_id: publish.packet_id,
        properties: publish.properties.borrow(),
        payload: Cow::Borrowed(&publish.payload),
    }
}

fn will_view<'a>(will: &'a Will<'_>) -> View<'a> {
    let mut fields = vec![
        ("topic".into(), View::text(&will.topic)),
        ("payload".into(), View::bytes(&will.payload)),
        ("qos".into(), View::Number(will.qos as i64)),
        ("retain".into(), View::Flag(will.retain)),
    ];
    with_properties(&mut fields, &will.properties);
    View::Map(fields)
}

fn with_properties<'a>(fields: &mut Fields<'a>, properties: &'a Properties<'_>) {
    if !properties.is_empty() {
        fields.push(("properties".into(), properties::view(properties)));
    }
}

fn maybe_bytes(bytes: Option<&[u8]>) -> View<'_> {
    bytes.map_or(View::Null, View::bytes)
}
