//! Each user has an area of topics below `/users/<name>/`, and `/public/` is for all; whoever subscribes is announced.
//!
//! `cargo run -p tidewire-broker --example user_areas [tcp://127.0.0.1:1883]`

use std::error::Error;
use std::io::Read;
use tidewire_broker::{Broker, BrokerHandle};
use tidewire_codec::{Properties, Publish, Qos};
use tidewire_handler::{
    Authenticate, Authentication, AuthorizePublish, AuthorizeSubscribe, Client, Decide, Origin,
    Published, Subscribed, handler,
};

/// Starts the broker for these users and passwords.
pub fn start(
    url: &str,
    users: &'static [(&'static str, &'static str)],
) -> Result<Broker, Box<dyn Error>> {
    let broker = Broker::builder()
        .listen(url.parse()?)
        .handler_with(0, move |server| Areas { users, server })
        .start()?;
    Ok(broker)
}

struct Areas {
    users: &'static [(&'static str, &'static str)],
    server: BrokerHandle,
}

handler! {
    impl Handler for Areas {
        fn authenticate(&self, _: &Client, ask: &Authenticate<'_>) -> Decide<Authentication> {
            let (Some(name), Some(password)) = (ask.username.as_deref(), ask.password.as_deref()) else {
                return Decide::deny("a user name and a password are needed");
            };
            let known = |(user, secret): &(&str, &str)| *user == name && secret.as_bytes() == password;
            if self.users.iter().any(known) {
                Decide::answer(Authentication::accepted(name))
            } else {
                Decide::deny("unknown user or wrong password")
            }
        }

        fn authorize_publish(&self, client: &Client, ask: &AuthorizePublish<'_>) -> Decide<()> {
            judge(client, &ask.topic)
        }

        fn authorize_subscribe(&self, client: &Client, ask: &AuthorizeSubscribe<'_>) -> Decide<()> {
            judge(client, &ask.filter)
        }

        fn subscribed(&self, told: &Subscribed) {
            let who = told.principal.as_deref().unwrap_or(&told.client_id);
            let text = format!("{who} has subscribed topic: {}", told.filter);
            self.say("/public/systemInfo", text);
        }

        fn published(&self, told: &Published) {
            // The server's own messages are told, too: answering them would go round in a circle.
            if told.origin != Origin::Server && told.publish.topic == "/public/test1" {
                self.say("/public/other", "This is server".to_owned());
            }
        }
    }
}

impl Areas {
    fn say(&self, topic: &'static str, text: String) {
        let message = Publish {
            dup: false,
            qos: Qos::AtMostOnce,
            retain: false,
            topic: topic.into(),
            packet_id: None,
            properties: Properties::EMPTY,
            payload: text.into_bytes().into(),
        };
        // A broker that stops has nobody to tell.
        let _ = self.server.publish_packet(message);
    }
}

/// The first level of a filter that reaches beyond one area is a wildcard, which is no area's name.
fn judge(client: &Client, topic: &str) -> Decide<()> {
    let mut levels = topic.split('/').skip(1);
    let allowed = topic.starts_with('/')
        && match levels.next() {
            Some("public") => true,
            Some("users") => client.principal().is_some() && levels.next() == client.principal(),
            _ => false,
        };
    if allowed {
        Decide::answer(())
    } else {
        Decide::deny("neither public nor yours")
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("tcp://127.0.0.1:1883");
    let broker = start(url, &[("alice", "secret"), ("bob", "hidden")])?;
    println!("listening on {:?}", broker.addresses());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
