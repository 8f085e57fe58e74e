//! Which streams a message goes to, and what the server knows of their filters.

use std::sync::Arc;

use tidewire_codec::{Properties, Qos, ReasonCode, SubscriptionOptions, topic};
use tokio::sync::oneshot;

use crate::SubscribeError;
use crate::event::DropReason;
use crate::messages::{Ack, AckOnDrop, Entry, Granted, Pushed, Queue};
use crate::protocol::{Delivery, Message, RequestError};
use crate::shared::{RouteId, Shared, strictest};
use crate::subscription::{Acknowledge, Subscription};

/// What `subscribe` learns.
pub(crate) type SubscribeOutcome = Result<(RouteId, Vec<Granted>), SubscribeError>;

/// All streams of a client.
#[derive(Default)]
pub(crate) struct Router {
    routes: Vec<Route>,
    next_route: RouteId,
    /// Some route may be `Wanted`: it is worth looking for.
    has_wanted: bool,
}

struct Route {
    id: RouteId,
    filters: Vec<(Box<str>, SubscriptionOptions)>,
    properties: Properties<'static>,
    queue: Arc<Queue>,
    acknowledge: Acknowledge,
    standing: Standing,
    reply: Option<oneshot::Sender<SubscribeOutcome>>,
}

/// What the server knows of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing, and it is not to: messages come for other reasons.
    Local,
    /// Nothing yet.
    Wanted,
    /// SUBSCRIBE is out.
    Asked,
    /// The server has answered.
    Subscribed,
}

/// What follows from a SUBACK.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// Filters that the server refused.
    pub(crate) refused: Vec<(Box<str>, ReasonCode)>,
    /// Filters that the server granted to somebody who does not wait for them any more.
    pub(crate) abandoned: Vec<Box<str>>,
}

/// What a filter is asked for with: the filter and its options.
pub(crate) type Filters = Vec<(Box<str>, SubscriptionOptions)>;

impl Router {
    /// A stream without a subscription of its own.
    pub(crate) fn add_local(&mut self, subscription: Subscription, queue: Arc<Queue>) -> RouteId {
        self.add(subscription, queue, Standing::Local, None)
    }

    /// A stream whose subscription is to be made.
    pub(crate) fn add_wanted(
        &mut self,
        subscription: Subscription,
        queue: Arc<Queue>,
        reply: Option<oneshot::Sender<SubscribeOutcome>>,
    ) -> RouteId {
        self.add(subscription, queue, Standing::Wanted, reply)
    }

    fn add(
        &mut self,
        subscription: Subscription,
        queue: Arc<Queue>,
        standing: Standing,
        reply: Option<oneshot::Sender<SubscribeOutcome>>,
    ) -> RouteId {
        let id = self.next_route;
        self.next_route += 1;
        self.has_wanted |= standing == Standing::Wanted;
        self.routes.push(Route {
            id,
            filters: subscription.filters,
            properties: subscription.properties,
            queue,
            acknowledge: subscription.acknowledge,
            standing,
            reply,
        });
        id
    }

    /// Takes a route out; its filters, if the server may know them and no other route has them.
    pub(crate) fn remove(&mut self, id: RouteId) -> Vec<Box<str>> {
        let Some(at) = self.routes.iter().position(|route| route.id == id) else {
            return Vec::new();
        };
        let route = self.routes.remove(at);
        route.queue.close();
        if !matches!(route.standing, Standing::Asked | Standing::Subscribed) {
            return Vec::new();
        }
        let is_shared = |filter: &str| {
            self.routes
                .iter()
                .any(|other| other.filters.iter().any(|(name, _)| **name == *filter))
        };
        let filters = route.filters.into_iter().map(|(filter, _)| filter);
        filters.filter(|filter| !is_shared(filter)).collect()
    }

    /// The server has forgotten every subscription. Returns whether there was one.
    pub(crate) fn forget_subscriptions(&mut self) -> bool {
        let mut had_any = false;
        self.has_wanted = true;
        for route in &mut self.routes {
            had_any |= route.standing == Standing::Subscribed;
            if route.standing != Standing::Local {
                route.standing = Standing::Wanted;
            }
        }
        had_any
    }

    /// The connection is gone, and with it the answers that were to come.
    pub(crate) fn connection_lost(&mut self) {
        self.has_wanted = true;
        for route in &mut self.routes {
            if route.standing == Standing::Asked {
                route.standing = Standing::Wanted;
            }
        }
    }

    /// The next route whose SUBSCRIBE is to be sent.
    pub(crate) fn next_wanted(&mut self) -> Option<(RouteId, Filters, Properties<'static>)> {
        if !self.has_wanted {
            return None;
        }
        let is_wanted = |route: &&mut Route| route.standing == Standing::Wanted;
        let Some(route) = self.routes.iter_mut().find(is_wanted) else {
            self.has_wanted = false;
            return None;
        };
        route.standing = Standing::Asked;
        Some((route.id, route.filters.clone(), route.properties.clone()))
    }

    /// Whether every subscription has been answered.
    pub(crate) fn is_settled(&self) -> bool {
        let is_settled =
            |route: &Route| matches!(route.standing, Standing::Local | Standing::Subscribed);
        self.routes.iter().all(is_settled)
    }

    /// SUBACK, or that there is none.
    pub(crate) fn answered(
        &mut self,
        id: RouteId,
        result: Result<Vec<ReasonCode>, RequestError>,
    ) -> Answered {
        let Some(route) = self.routes.iter_mut().find(|route| route.id == id) else {
            return Answered::default();
        };
        let reasons = match result {
            Ok(reasons) => reasons,
            Err(RequestError::ConnectionLost | RequestError::NotConnected) => {
                route.standing = Standing::Wanted;
                self.has_wanted = true;
                return Answered::default();
            }
            Err(error) => {
                route.queue.close();
                if let Some(reply) = route.reply.take() {
                    let _ = reply.send(Err(SubscribeError::Request(error)));
                }
                self.routes.retain(|route| route.id != id);
                return Answered::default();
            }
        };
        route.standing = Standing::Subscribed;
        let granted: Vec<Granted> = route
            .filters
            .iter()
            .zip(reasons)
            .map(|((filter, _), reason)| Granted {
                filter: filter.clone(),
                result: granted_qos(reason),
            })
            .collect();
        let refused = granted
            .iter()
            .filter_map(|granted| Some((granted.filter.clone(), granted.result.err()?)))
            .collect();
        let Some(reply) = route.reply.take() else {
            let abandoned = Vec::new();
            return Answered { refused, abandoned };
        };
        let first_refusal = granted.iter().find_map(|granted| granted.result.err());
        let is_refused = granted.iter().all(|granted| granted.result.is_err());
        let outcome = match (is_refused, first_refusal) {
            (true, Some(reason)) => Err(SubscribeError::Refused(reason)),
            _ => Ok((id, granted)),
        };
        let is_granted = outcome.is_ok();
        let is_wanted = reply.send(outcome).is_ok();
        let mut abandoned = Vec::new();
        if !is_granted || !is_wanted {
            abandoned = self.remove(id);
        }
        if !is_granted {
            abandoned.clear();
        }
        Answered { refused, abandoned }
    }

    /// Puts a message into the streams of all filters that it matches.
    pub(crate) fn deliver(
        &self,
        shared: &Arc<Shared>,
        message: Message,
        delivery: Option<Delivery>,
    ) {
        let mut matched: Vec<&Route> = self
            .routes
            .iter()
            .filter(|route| route.matches(&message.topic))
            .collect();
        if matched.is_empty() {
            matched.extend(self.routes.iter().filter(|route| route.filters.is_empty()));
        }
        let mode = strictest(matched.iter().map(|route| route.acknowledge));
        let ack = match (delivery, mode) {
            (None, _) => Ack::None,
            (Some(delivery), Acknowledge::Manual) if !matched.is_empty() => Ack::Manual(delivery),
            (Some(delivery), Acknowledge::AfterYield) => Ack::AfterYield(Arc::new(AckOnDrop {
                shared: Arc::clone(shared),
                delivery,
            })),
            (Some(delivery), _) => {
                shared.acknowledge(delivery, ReasonCode::Success);
                Ack::None
            }
        };
        let Some((last, others)) = matched.split_last() else {
            return shared.dropped(message.topic, DropReason::NoRoute);
        };
        for route in others {
            let message = message.clone();
            let ack = ack.clone();
            route.push(shared, Entry { message, ack });
        }
        last.push(shared, Entry { message, ack });
    }

    /// Bytes in streams that hold the server back.
    pub(crate) fn blocking_bytes(&self) -> usize {
        let bytes = self.routes.iter().map(|route| route.queue.blocking_bytes());
        bytes.sum()
    }

    /// No message will come any more.
    pub(crate) fn close(&mut self) {
        for route in self.routes.drain(..) {
            route.queue.close();
        }
    }
}

impl Route {
    fn matches(&self, name: &str) -> bool {
        self.filters.iter().any(|(filter, _)| {
            let filter = match topic::split_shared(filter) {
                Ok(Some(shared)) => shared.filter,
                _ => filter,
            };
            topic::matches(filter, name)
        })
    }

    fn push(&self, shared: &Shared, entry: Entry) {
        let topic = Arc::clone(&entry.message.topic);
        let ack = entry.ack.clone();
        match self.queue.push(entry) {
            Pushed::Kept => {}
            Pushed::DroppedOldest(oldest) => {
                dropped(
                    shared,
                    oldest.message.topic,
                    &oldest.ack,
                    DropReason::StreamFull,
                );
            }
            Pushed::DroppedNewest => dropped(shared, topic, &ack, DropReason::StreamFull),
            Pushed::Closed => dropped(shared, topic, &ack, DropReason::NoRoute),
        }
    }
}

/// A message that nobody will see: nobody else would acknowledge it.
fn dropped(shared: &Shared, topic: Arc<str>, ack: &Ack, why: DropReason) {
    if let Ack::Manual(delivery) = ack {
        shared.acknowledge(*delivery, ReasonCode::Success);
    }
    shared.dropped(topic, why);
}

fn granted_qos(reason: ReasonCode) -> Result<Qos, ReasonCode> {
    match reason {
        ReasonCode::Success => Ok(Qos::AtMostOnce),
        ReasonCode::GrantedQos1 => Ok(Qos::AtLeastOnce),
        ReasonCode::GrantedQos2 => Ok(Qos::ExactlyOnce),
        refusal => Err(refusal),
    }
}
