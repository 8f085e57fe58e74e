//! Faults that are planted between broker and clients, to show that each oracle objects to what it is there for.

/// What is wrong with the broker, as its clients see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lie {
    /// Now and then a message is acknowledged and not taken.
    AcknowledgesWithoutTaking,
    /// Now and then a QoS 2 message comes twice, under two identifiers.
    DeliversTwice,
    /// Now and then a message is put off behind the next one.
    Reorders,
    /// CONNACK says that there is a session where there is none.
    InventsSessions,
    /// Messages that are to be retained are only passed on.
    ForgetsToRetain,
    /// Wills are not published.
    SwallowsWills,
    /// DISCONNECT is not understood, so that the will is published.
    PublishesWillsAnyway,
    /// The Receive Maximum is not looked at.
    IgnoresReceiveMaximum,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::AcknowledgesWithoutTaking,
        Self::DeliversTwice,
        Self::Reorders,
        Self::InventsSessions,
        Self::ForgetsToRetain,
        Self::SwallowsWills,
        Self::PublishesWillsAnyway,
        Self::IgnoresReceiveMaximum,
    ];
}

/// A lie and what it has to remember.
#[derive(Debug)]
pub(crate) struct Liar {
    pub(crate) lie: Lie,
    pub(crate) occasions: u32,
}

impl Liar {
    pub(crate) fn new(lie: Lie) -> Self {
        Self { lie, occasions: 0 }
    }

    /// Not every time, so that there is a life to look at.
    pub(crate) fn is_time(&mut self, lie: Lie) -> bool {
        if self.lie != lie {
            return false;
        }
        self.occasions += 1;
        self.occasions.is_multiple_of(5)
    }
}
