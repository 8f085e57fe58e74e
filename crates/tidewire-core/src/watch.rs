//! What somebody outside wants to be asked, or told, besides authentication and authorisation.

use std::ops::BitOr;

/// A set of matters. What is not in it is neither asked nor told, and costs a branch.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Watch(u32);

impl Watch {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Each CONNECT is asked about, packet and all, with [`Question::Authenticate`](crate::Question::Authenticate).
    pub const CONNECT: Self = Self(1);
    /// Each PUBLISH is consulted about with [`Output::Consult`](crate::Output::Consult), each will with
    /// [`Question::AuthorizePublish`](crate::Question::AuthorizePublish).
    pub const PUBLISH: Self = Self(1 << 1);
    /// Each SUBSCRIBE is asked about as a whole.
    pub const SUBSCRIBE: Self = Self(1 << 2);
    /// Each UNSUBSCRIBE is asked about.
    pub const UNSUBSCRIBE: Self = Self(1 << 3);
    /// Each delivery to a client is asked about.
    pub const DELIVER: Self = Self(1 << 4);
    /// [`Event::Published`](crate::Event::Published).
    pub const PUBLISHED: Self = Self(1 << 5);
    /// [`Event::Subscribed`](crate::Event::Subscribed) and [`Event::Unsubscribed`](crate::Event::Unsubscribed).
    pub const SUBSCRIPTIONS: Self = Self(1 << 6);
    /// [`Event::Acknowledged`](crate::Event::Acknowledged).
    pub const ACKNOWLEDGED: Self = Self(1 << 7);
    /// [`Event::Dropped`](crate::Event::Dropped).
    pub const DROPPED: Self = Self(1 << 8);
    /// [`Event::Pinged`](crate::Event::Pinged).
    pub const PINGED: Self = Self(1 << 9);
    /// [`Event::WillArmed`](crate::Event::WillArmed).
    pub const WILL_ARMED: Self = Self(1 << 10);
    /// [`Event::RetainedChanged`](crate::Event::RetainedChanged).
    pub const RETAINED: Self = Self(1 << 11);

    /// Whether all of the other set is in it.
    #[inline]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Watch {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
