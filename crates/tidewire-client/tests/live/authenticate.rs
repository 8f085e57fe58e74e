//! Enhanced authentication through an authenticator of the application.

use tidewire_client::codec::{Auth, ConnAck, Packet, Properties, Property};
use tidewire_client::{Authenticator, Client, ReasonCode, Version};

use crate::broker::soon;
use crate::server::Server;

/// Answers every message with itself in capitals, and believes a server that says `proof`.
struct Shouting;

impl Authenticator for Shouting {
    fn method(&self) -> &str {
        "SHOUT"
    }

    fn start(&mut self) -> Result<Option<Vec<u8>>, String> {
        Ok(Some(b"hello".to_vec()))
    }

    fn answer(&mut self, challenge: Option<&[u8]>) -> Result<Option<Vec<u8>>, String> {
        let challenge = challenge.ok_or("the server says nothing")?;
        Ok(Some(challenge.to_ascii_uppercase()))
    }

    fn finish(&mut self, data: Option<&[u8]>) -> Result<(), String> {
        match data {
            Some(b"proof") => Ok(()),
            _ => Err("the server has no proof".to_owned()),
        }
    }
}

fn with(data: &[u8]) -> Properties<'static> {
    Properties::EMPTY
        .with(Property::AuthenticationMethod("SHOUT"))
        .with(Property::AuthenticationData(data))
}

/// A server that asks one question and then says this.
async fn examine(server: Server, last: &'static [u8]) {
    let mut peer = server.accept().await;
    let Some(Packet::Connect(connect)) = peer.next().await else {
        panic!("no CONNECT");
    };
    let data = connect.properties.authentication_data();
    assert_eq!(data, Some(&b"hello"[..]));
    let reason = ReasonCode::ContinueAuthentication;
    peer.say(&Packet::Auth(Auth {
        reason,
        properties: with(b"who"),
    }))
    .await;
    let Some(Packet::Auth(answer)) = peer.next().await else {
        panic!("no AUTH");
    };
    let data = answer.properties.authentication_data();
    assert_eq!(data, Some(&b"WHO"[..]));
    peer.say(&Packet::ConnAck(ConnAck {
        session_present: false,
        reason: ReasonCode::Success,
        properties: with(last),
    }))
    .await;
    while peer.next().await.is_some() {}
}

#[tokio::test]
async fn authenticator_answers_challenges_and_believes_the_server_or_does_not() {
    for (last, is_believed) in [(&b"proof"[..], true), (b"nothing", false)] {
        let server = Server::bind().await;
        let builder = Client::builder(&server.url()).authenticator(Shouting);
        let examined = tokio::spawn(examine(server, last));
        let outcome = soon(builder.connect()).await;
        assert_eq!(outcome.is_ok(), is_believed);
        if let Err(error) = &outcome {
            assert!(
                error.to_string().contains("the server has no proof"),
                "{error}"
            );
        }
        drop(outcome);
        soon(examined).await.expect("the server saw what it should");
    }
}

#[tokio::test]
async fn authenticator_before_version_5_is_a_named_error() {
    let builder = Client::builder("mqtt://localhost").version(Version::V311);
    let error = builder
        .authenticator(Shouting)
        .start()
        .expect_err("version 5");
    assert!(
        error
            .to_string()
            .contains("enhanced authentication exists in MQTT 5.0 only")
    );
}
