//! `tidewire sub`

use std::time::Duration;

use tidewire_client::codec::{Carrier, topic};
use tidewire_client::{Message, Messages, Publish, SubscribeError, Subscription, Version};
use tokio::time::Instant;

use super::Failure;
use super::options::{Options, Receive};
use super::output::{self, Reader};
use super::session::{End, Session};

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    Stop,
}

/// What has been done so far.
struct Subscriber {
    session: Session,
    receive: Receive,
    printed: u64,
}

/// Subscribes and prints until something ends it.
pub(crate) async fn run(mut options: Options) -> Result<(), Failure> {
    let deadline = options.receive.timeout.map(|limit| Instant::now() + limit);
    let limit = deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(u32::MAX.into()));
    let wanted = wanted(&mut options)?;
    let opened = Session::open(&mut options, |builder| builder.route(Subscription::rest()));
    let opened = tokio::time::timeout_at(limit, opened).await;
    let (session, rest) = opened.map_err(|_| Failure::timed_out())??;
    let mut subscriber = Subscriber {
        session,
        receive: options.receive,
        printed: 0,
    };
    let outcome = subscriber.serve(wanted, rest, limit).await;
    subscriber.session.close().await;
    outcome
}

fn wanted(options: &mut Options) -> Result<Option<Subscription>, Failure> {
    let mut topics = options.topics.iter();
    let Some(first) = topics.next() else {
        return Ok(None);
    };
    let mut wanted = Subscription::new(first).qos(options.qos);
    if options.receive.retain_as_published && options.server.version == Version::V5 {
        wanted = wanted.retain_as_published();
    }
    for filter in topics {
        wanted = wanted.and(filter);
    }
    let properties = options.properties.take(Carrier::Subscribe)?;
    Ok(Some(wanted.properties(properties)))
}

impl Subscriber {
    async fn serve(
        &mut self,
        wanted: Option<Subscription>,
        mut rest: Messages,
        limit: Instant,
    ) -> Result<(), Failure> {
        let mut stream = match wanted {
            Some(wanted) => {
                let subscribed =
                    tokio::time::timeout_at(limit, self.session.client.subscribe(wanted));
                match subscribed.await {
                    Err(_) => return Err(Failure::timed_out()),
                    Ok(Ok(stream)) => Some(stream),
                    Ok(Err(SubscribeError::Refused(reason))) => {
                        eprintln!("the server refused every subscription: {reason}");
                        return Ok(());
                    }
                    Ok(Err(error)) => return Err(Failure::failed(error.to_string())),
                }
            }
            None => None,
        };
        self.unsubscribe().await?;
        if self.receive.exit_when_subscribed {
            return Ok(());
        }
        loop {
            let received = tokio::select! {
                biased;
                received = rest.recv() => received.map(|received| received.into_message()),
                received = next_of(&mut stream) => received,
                () = tokio::time::sleep_until(limit) => return Err(Failure::timed_out()),
                end = self.session.ended() => return match end {
                    End::Signal => Ok(()),
                    End::Failed(failure) => Err(failure),
                },
            };
            let Some(message) = received else {
                return Ok(());
            };
            if self.on_message(&message).await? == Next::Stop {
                return Ok(());
            }
        }
    }

    async fn unsubscribe(&self) -> Result<(), Failure> {
        if self.receive.unsubscribe.is_empty() {
            return Ok(());
        }
        let filters: Vec<&str> = self
            .receive
            .unsubscribe
            .iter()
            .map(String::as_str)
            .collect();
        let asked = self.session.client.unsubscribe(&filters).await;
        asked.map_err(|error| Failure::failed(error.to_string()))
    }

    async fn on_message(&mut self, message: &Message) -> Result<Next, Failure> {
        let receive = &self.receive;
        if receive.retained_only && !message.retain {
            return Ok(Next::Stop);
        }
        let is_filtered = |filter: &String| topic::matches(filter, &message.topic);
        if message.retain && receive.no_retained || receive.filter_out.iter().any(is_filtered) {
            return Ok(Next::GoOn);
        }
        if receive.remove_retained && message.retain {
            let empty = Publish::new(&*message.topic, "").retained();
            let published = self.session.client.publish(empty).await;
            published.map_err(|error| Failure::failed(error.to_string()))?;
        }
        let is_chosen = receive.random_filter.is_none_or(|percent| {
            let drawn = getrandom::u32().unwrap_or_default();
            f64::from(drawn) / f64::from(u32::MAX) * 100.0 < percent
        });
        if is_chosen && output::print(receive, message)? == Reader::Gone {
            return Ok(Next::Stop);
        }
        self.printed += 1;
        Ok(if receive.count == Some(self.printed) {
            Next::Stop
        } else {
            Next::GoOn
        })
    }
}

async fn next_of(stream: &mut Option<Messages>) -> Option<Message> {
    match stream {
        Some(stream) => stream.recv().await.map(|received| received.into_message()),
        None => std::future::pending().await,
    }
}
