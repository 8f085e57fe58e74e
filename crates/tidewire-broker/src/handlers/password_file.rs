//! User names and passwords from a file, one `name:record` a line, as mosquitto has them.

use crate::handlers::{PasswordRecord, RecordError};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tidewire_codec::ReasonCode;
use tidewire_handler::{
    Authenticate, Authentication, Client, Decide, Denial, HandlerError, Verdict, handler,
};
use tokio::sync::Semaphore;

/// Checks at a time: each takes a processor for some hundredths of a second, which the workers need, too.
const CHECKS_AT_ONCE: usize = 2;
/// Checks that wait. Beyond it clients are told to come back later, and hold nothing here.
const CHECKS_WAITING_MAX: usize = 1024;

const WRONG: &str = "bad user name or password";

/// Lets in who gives a user name of the file and its password; the user name is the principal.
///
/// It says nothing about clients without a user name (the listener's `allow_anonymous` decides), nor about enhanced
/// authentication. An unknown user name is checked against a record all the same, so that it takes as long as a known one.
pub struct PasswordFile {
    records: HashMap<Box<str>, Arc<PasswordRecord>>,
    /// What unknown user names are checked against: the costliest record.
    decoy: Option<Arc<PasswordRecord>>,
    waiting: Arc<Semaphore>,
    checking: Arc<Semaphore>,
}

/// What is wrong with a password file.
#[derive(Debug)]
pub enum PasswordFileError {
    /// It cannot be read.
    Unreadable(std::io::Error),
    /// A line has no `:` behind the user name, or nothing before it.
    NoUserName {
        /// Counted from 1.
        line: usize,
    },
    /// A user name appears twice.
    Twice {
        /// Counted from 1.
        line: usize,
        /// The user name.
        name: Box<str>,
    },
    /// A line's hashed password is none.
    Record {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: RecordError,
    },
}

impl PasswordFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`PasswordFileError`]: a file with a fault is not used at all.
    pub fn load(path: &Path) -> Result<Self, PasswordFileError> {
        let text = std::fs::read_to_string(path).map_err(PasswordFileError::Unreadable)?;
        Self::parse(&text)
    }

    /// Reads the text of a file. Empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// [`PasswordFileError`].
    pub fn parse(text: &str) -> Result<Self, PasswordFileError> {
        let mut records = HashMap::new();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim_end();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let Some((name, record)) = content.split_once(':').filter(|(name, _)| !name.is_empty())
            else {
                return Err(PasswordFileError::NoUserName { line });
            };
            let record = PasswordRecord::parse(record)
                .map_err(|error| PasswordFileError::Record { line, error })?;
            let name: Box<str> = name.into();
            if records.insert(name.clone(), Arc::new(record)).is_some() {
                return Err(PasswordFileError::Twice { line, name });
            }
        }
        let decoy = records.values().max_by_key(|record| record.cost());
        Ok(Self {
            decoy: decoy.map(Arc::clone),
            records,
            waiting: Arc::new(Semaphore::new(CHECKS_WAITING_MAX)),
            checking: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
        })
    }

    /// The number of users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.records.len()
    }

    fn check(&self, name: &str, password: Option<&[u8]>) -> Decide<Authentication> {
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            return Decide::deny_with(ReasonCode::ServerBusy, "too many logins at once");
        };
        let known = self.records.get(name);
        let Some(record) = known.or(self.decoy.as_ref()) else {
            return wrong().into();
        };
        // No password is a wrong one; it is hashed like others so that it tells nothing.
        let may_match = known.is_some() && password.is_some();
        let password: Box<[u8]> = password.unwrap_or_default().into();
        let (record, name) = (Arc::clone(record), Arc::<str>::from(name));
        let checking = Arc::clone(&self.checking);
        Decide::later(async move {
            let _place = place;
            let _turn = checking.acquire_owned().await.map_err(HandlerError::new)?;
            let check = tokio::task::spawn_blocking(move || record.matches(&password));
            let matches = check.await.map_err(HandlerError::new)?;
            Ok(if matches && may_match {
                Verdict::Answer(Authentication::accepted(name))
            } else {
                wrong()
            })
        })
    }
}

fn wrong() -> Verdict<Authentication> {
    Verdict::Deny(Denial::new(ReasonCode::BadUserNameOrPassword, WRONG))
}

handler! {
    impl Handler for PasswordFile {
        fn authenticate(&self, _: &Client, ask: &Authenticate<'_>) -> Decide<Authentication> {
            match ask.username.as_deref() {
                Some(name) if ask.method.is_none() => self.check(name, ask.password.as_deref()),
                _ => Decide::go_on(),
            }
        }
    }
}

impl fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordFile")
            .field("users", &self.users())
            .finish_non_exhaustive()
    }
}

/// Begins with the line, for whoever puts the file's name before it.
impl fmt::Display for PasswordFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::NoUserName { line } => write!(
                f,
                "{line}: a line is a user name, `:` and a hashed password"
            ),
            Self::Twice { line, name } => write!(f, "{line}: `{name}` has a line already"),
            Self::Record { line, error } => write!(f, "{line}: {error}"),
        }
    }
}

impl std::error::Error for PasswordFileError {}
