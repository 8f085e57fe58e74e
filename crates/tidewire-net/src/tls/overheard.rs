//! What those hear who take part in a handshake, for the one who leads it.
//!
//! The library calls the chooser of the certificate and the judge of the client's certificate within the call that the layer
//! makes, and passes nothing of what they know on: a connection without buffers does not even tell the name that was
//! asked for. They leave it here, for the length of that call.

use std::cell::RefCell;

thread_local! {
    static OVERHEARD: RefCell<Overheard> = const { RefCell::new(Overheard::nothing()) };
}

/// What one call has brought up.
#[derive(Debug, Default)]
pub(super) struct Overheard {
    pub(super) greeting: Option<Greeting>,
    /// What is wrong with the client's certificate, as a sentence with a way out.
    pub(super) fault: Option<Box<str>>,
}

/// What a client's greeting says.
#[derive(Debug)]
pub(super) struct Greeting {
    /// The name that it asks for.
    pub(super) server_name: Option<Box<str>>,
    /// No certificate of the listener has that name.
    pub(super) is_stranger: bool,
    /// It can be spoken to with a pre-shared key only.
    pub(super) wants_psk: bool,
}

impl Overheard {
    const fn nothing() -> Self {
        Self {
            greeting: None,
            fault: None,
        }
    }

    /// Takes what this thread has overheard since the last call.
    pub(super) fn take() -> Self {
        OVERHEARD.take()
    }
}

pub(super) fn greeting(greeting: Greeting) {
    OVERHEARD.with_borrow_mut(|heard| heard.greeting = Some(greeting));
}

pub(super) fn fault(sentence: String) {
    OVERHEARD.with_borrow_mut(|heard| heard.fault = Some(sentence.into()));
}
