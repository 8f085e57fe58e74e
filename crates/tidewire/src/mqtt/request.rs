//! `tidewire rr`

use std::time::Duration;

use tidewire_client::codec::{Carrier, Properties, Property};
use tidewire_client::{Messages, Subscription, Version};
use tokio::time::Instant;

use super::Failure;
use super::options::Options;
use super::session::{End, Session};
use super::{output, publish};

/// Subscribes to the response topic, publishes the request, prints the answer.
pub(crate) async fn run(mut options: Options) -> Result<(), Failure> {
    let limit = options
        .receive
        .timeout
        .unwrap_or(Duration::from_secs(u32::MAX.into()));
    let limit = Instant::now() + limit;
    let opened = Session::open(&mut options, |_| ());
    let opened = tokio::time::timeout_at(limit, opened).await;
    let (mut session, ()) = opened.map_err(|_| Failure::timed_out())??;
    let outcome = tokio::time::timeout_at(limit, ask(&mut options, &mut session)).await;
    session.close().await;
    outcome.unwrap_or_else(|_| Err(Failure::timed_out()))
}

async fn ask(options: &mut Options, session: &mut Session) -> Result<(), Failure> {
    let topic = options.message.response_topic.clone().unwrap_or_default();
    let properties = options.properties.take(Carrier::Subscribe)?;
    let wanted = Subscription::new(&topic)
        .qos(options.qos)
        .properties(properties);
    let subscribed = session.client.subscribe(wanted).await;
    let mut answers = subscribed.map_err(|error| Failure::failed(error.to_string()))?;
    let mut request = publish::message(options, publish::read_payload(options)?)?;
    if options.server.version == Version::V5 {
        request = request.properties(&Properties::EMPTY.with(Property::ResponseTopic(&topic)));
    }
    let accepted = session.client.publish(request).await;
    accepted.map_err(|error| Failure::failed(error.to_string()))?;
    tokio::select! {
        outcome = first_answer(options, &mut answers) => outcome,
        end = session.ended() => match end {
            End::Signal => Ok(()),
            End::Failed(failure) => Err(failure),
        },
    }
}

async fn first_answer(options: &Options, answers: &mut Messages) -> Result<(), Failure> {
    while let Some(answer) = answers.recv().await {
        if answer.retain && options.receive.no_retained {
            continue;
        }
        output::print(&options.receive, &answer)?;
        return Ok(());
    }
    Ok(())
}
