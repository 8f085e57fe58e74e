//! A session's own list of its subscriptions: what has to be taken out of the index when it ends.

use std::collections::BTreeMap;
use tidewire_codec::{Qos, SubscriptionOptions};

/// Up to here a list is smaller and faster than a tree.
const LIST_MAX: usize = 8;

/// One subscription as the session knows it; the key is the whole filter, `$share/name/` included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subscription {
    /// The QoS that stored messages from one offset to another were promised with, before the subscription was replaced: none is
    /// lost by that \[5.0 MQTT-3.8.4-4\].
    pub(crate) former: Option<(Qos, u64, u64)>,
    pub(crate) options: SubscriptionOptions,
    /// Subscription Identifier, 0 = none.
    pub(crate) identifier: u32,
    /// Stored messages from this offset on are for it; none while its record is not stored.
    pub(crate) since: u64,
}

impl Subscription {
    /// The QoS for a message that is stored at an offset; `None` = it is not for this subscription.
    pub(crate) fn qos_at(&self, offset: u64) -> Option<Qos> {
        match self.former {
            Some((qos, from, until)) if (from..until).contains(&offset) => Some(qos),
            _ if offset >= self.since => Some(self.options.qos),
            _ => None,
        }
    }

    /// Whether stored messages may be owed because of it.
    pub(crate) fn is_owed(&self) -> bool {
        self.options.qos > Qos::AtMostOnce || self.former.is_some()
    }
}

#[derive(Debug)]
pub(crate) enum Subscriptions {
    List(Vec<(Box<str>, Subscription)>),
    Tree(BTreeMap<Box<str>, Subscription>),
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Tree(tree) => tree.len(),
        }
    }

    /// Sets a subscription and returns the one it replaces.
    pub(crate) fn insert(
        &mut self,
        filter: &str,
        subscription: Subscription,
    ) -> Option<Subscription> {
        if let Self::List(list) = self {
            if let Some((_, old)) = list.iter_mut().find(|(known, _)| **known == *filter) {
                return Some(std::mem::replace(old, subscription));
            }
            if list.len() < LIST_MAX {
                list.reserve_exact(1);
                list.push((filter.into(), subscription));
                return None;
            }
            *self = Self::Tree(list.drain(..).collect());
        }
        match self {
            Self::Tree(tree) => tree.insert(filter.into(), subscription),
            Self::List(_) => None,
        }
    }

    pub(crate) fn remove(&mut self, filter: &str) -> Option<Subscription> {
        match self {
            Self::List(list) => {
                let at = list.iter().position(|(known, _)| **known == *filter)?;
                Some(list.swap_remove(at).1)
            }
            Self::Tree(tree) => tree.remove(filter),
        }
    }

    pub(crate) fn get(&self, filter: &str) -> Option<&Subscription> {
        match self {
            Self::List(list) => list
                .iter()
                .find(|(known, _)| **known == *filter)
                .map(|(_, subscription)| subscription),
            Self::Tree(tree) => tree.get(filter),
        }
    }

    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut Subscription> {
        match self {
            Self::List(list) => list
                .iter_mut()
                .find(|(known, _)| **known == *filter)
                .map(|(_, subscription)| subscription),
            Self::Tree(tree) => tree.get_mut(filter),
        }
    }

    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = (&str, &Subscription)> + '_> {
        match self {
            Self::List(list) => Box::new(list.iter().map(|(filter, it)| (&**filter, it))),
            Self::Tree(tree) => Box::new(tree.iter().map(|(filter, it)| (&**filter, it))),
        }
    }

    pub(crate) fn filters(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::List(list) => Box::new(list.iter().map(|(filter, _)| &**filter)),
            Self::Tree(tree) => Box::new(tree.keys().map(|filter| &**filter)),
        }
    }
}
