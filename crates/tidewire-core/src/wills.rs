//! Wills: armed by CONNECT, published when their sender has gone and not come back \[5.0 3.1.2.5\].

use crate::core::Core;
use crate::event::Event;
use crate::keys::SessionKey;
use crate::output::Output;
use crate::route::interest::Interest;
use crate::timers::Timer;

impl Core {
    /// The sender of a will has gone: publish it now, or when its delay has passed.
    pub(crate) fn schedule_will(&mut self, interest: &Interest, key: SessionKey) {
        let limit = self.config.limits.max_will_delay_secs;
        let now = self.now;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(will) = &session.will else { return };
        let delay_secs = will.delay_secs.min(limit);
        // A will is due at the end of its session at the latest, which ending the session sees to.
        if delay_secs == 0 || session.expiry_secs == 0 {
            self.publish_will(interest, key);
            return;
        }
        session.will_due = now.plus_secs(delay_secs.into());
        self.timers.schedule(session.will_due, Timer::WillDue(key));
    }

    pub(crate) fn on_will_due(&mut self, interest: &Interest, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        if session.conn.is_none() && session.will_due <= self.now {
            self.publish_will(interest, key);
        }
    }

    /// Publishes a session's will, if it has one, and takes it out \[5.0 MQTT-3.1.2-10\]. It passes the same stages as any message.
    pub(crate) fn publish_will(&mut self, interest: &Interest, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.conn.is_some() {
            return;
        }
        let Some(will) = session.will.take() else {
            return;
        };
        let client_id = session.client_id().into();
        // Its expiry interval counts from its publication, not from CONNECT.
        let message = self.rebase(&will.message);
        self.stats.wills_published += 1;
        self.outputs.push_back(Output::Event(Event::WillPublished {
            client_id,
            topic: message.topic().into(),
        }));
        self.publish(interest, &message.parts(), Some(&message));
    }
}
