//! Who may not come in for a while: by address, by user name, by client id; and who has guessed too many passwords.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tidewire_codec::{Connect, Properties, ReasonCode};
use tidewire_handler::{
    BeforeConnect, Client, Connected, Decide, Denial, Refused, Verdict, handler,
};

/// Logins that are under way, and names that have failed, which are remembered at most; beyond it the ones whose time is
/// over are forgotten, and if there are none, new ones are not counted.
const REMEMBERED_MAX: usize = 65_536;

/// A handler that refuses whoever is banned, and bans for a while whoever fails to log in again and again.
///
/// A failure counts against the user name together with the address: guessing one user's password is slowed down, and a
/// device that is set up wrongly bars neither its neighbours nor its user elsewhere. A clone shares the list.
#[derive(Clone, Debug, Default)]
pub struct Bans {
    list: Arc<Mutex<List>>,
    settings: BanSettings,
}

/// What counts as too many failed logins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BanSettings {
    /// Failed logins of one user name from one address within the window; 0 = any number.
    pub max_login_failures: u32,
    /// The window, and the time for which further attempts are refused, in seconds.
    pub login_ban_secs: u32,
}

/// Who is banned.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Banned {
    /// Everybody who comes from this address.
    Address(IpAddr),
    /// Everybody who gives this user name.
    User(Box<str>),
    /// Everybody who gives this client id.
    Client(Box<str>),
}

#[derive(Debug, Default)]
struct List {
    /// Until when; `None` = until it is lifted.
    bans: BTreeMap<Banned, Option<Instant>>,
    /// By address and port: the user name of a login whose outcome is not known yet.
    attempts: HashMap<Box<str>, (IpAddr, Box<str>, Instant)>,
    failures: HashMap<(IpAddr, Box<str>), Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    since: Instant,
}

impl Default for BanSettings {
    fn default() -> Self {
        Self {
            max_login_failures: 20,
            login_ban_secs: 60,
        }
    }
}

impl Bans {
    /// An empty list.
    #[must_use]
    pub fn new(settings: BanSettings) -> Self {
        Self {
            list: Arc::default(),
            settings,
        }
    }

    /// Bans, for a time or until it is lifted. A ban that is there is replaced. Connections that are open stay.
    pub fn ban(&self, who: Banned, time: Option<Duration>) {
        let until = time.and_then(|time| Instant::now().checked_add(time));
        self.lock().bans.insert(who, until);
    }

    /// Lifts a ban; false: there was none.
    #[must_use]
    pub fn lift(&self, who: &Banned) -> bool {
        self.lock().bans.remove(who).is_some()
    }

    /// The bans in force, with the time that they have left; `None` = until they are lifted.
    #[must_use]
    pub fn bans(&self) -> Vec<(Banned, Option<Duration>)> {
        let now = Instant::now();
        let mut list = self.lock();
        list.bans.retain(|_, until| is_ahead(*until, now));
        let left = |until: &Instant| until.saturating_duration_since(now);
        let bans = list.bans.iter();
        bans.map(|(who, until)| (who.clone(), until.as_ref().map(left)))
            .collect()
    }

    fn is_banned(&self, who: &Banned) -> bool {
        let until = self.lock().bans.get(who).copied();
        until.is_some_and(|until| is_ahead(until, Instant::now()))
    }

    /// How long this user name must wait at this address.
    fn wait(&self, address: IpAddr, user: &str) -> Option<Duration> {
        let limit = self.settings.max_login_failures;
        let failures = self.lock().failures.get(&(address, user.into())).copied();
        let failures = failures.filter(|failures| limit > 0 && failures.count >= limit)?;
        let left = self.window().checked_sub(failures.since.elapsed())?;
        (!left.is_zero()).then_some(left)
    }

    fn window(&self) -> Duration {
        Duration::from_secs(self.settings.login_ban_secs.into())
    }

    fn begin(&self, client: &Client, address: IpAddr, user: &str) {
        let now = Instant::now();
        let mut list = self.lock();
        if list.attempts.len() >= REMEMBERED_MAX {
            let window = self.window();
            list.attempts
                .retain(|_, (_, _, since)| now.duration_since(*since) < window);
        }
        if list.attempts.len() < REMEMBERED_MAX {
            list.attempts
                .insert(client.address().into(), (address, user.into(), now));
        }
    }

    /// The outcome of a login.
    fn finish(&self, address: &str, has_failed: bool) {
        let window = self.window();
        let now = Instant::now();
        let mut list = self.lock();
        let Some((ip, user, _)) = list.attempts.remove(address) else {
            return;
        };
        if !has_failed {
            list.failures.remove(&(ip, user));
            return;
        }
        if list.failures.len() >= REMEMBERED_MAX {
            list.failures
                .retain(|_, failures| now.duration_since(failures.since) < window);
        }
        let is_full = list.failures.len() >= REMEMBERED_MAX;
        match list.failures.entry((ip, user)) {
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                let failures = entry.get_mut();
                if now.duration_since(failures.since) >= window {
                    failures.count = 0;
                }
                failures.count = failures.count.saturating_add(1);
                // The last failure begins the time of waiting.
                failures.since = now;
            }
            std::collections::hash_map::Entry::Vacant(_) if is_full => {}
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Failures {
                    count: 1,
                    since: now,
                });
            }
        }
    }

    /// The list is whole between any two operations, whoever panicked.
    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_ahead(until: Option<Instant>, now: Instant) -> bool {
    until.is_none_or(|until| until > now)
}

/// The address in `192.0.2.7:50123`; other transports have none.
fn address_in(text: &str) -> Option<IpAddr> {
    text.parse::<SocketAddr>()
        .ok()
        .map(|address| address.ip().to_canonical())
}

fn banned<A>(text: &str) -> Decide<A> {
    Verdict::Close(Denial::new(ReasonCode::Banned, text)).into()
}

handler! {
    impl Handler for Bans {
        fn before_connect(&self, client: &Client, _: &BeforeConnect) -> Decide<()> {
            match address_in(client.address()).map(Banned::Address) {
                Some(address) if self.is_banned(&address) => banned("this address is banned"),
                _ => Decide::go_on(),
            }
        }

        fn connect(&self, client: &Client, ask: &Connect<'_>) -> Decide<Properties<'static>> {
            if self.is_banned(&Banned::Client((*ask.client_id).into())) {
                return banned("this client identifier is banned");
            }
            let Some(user) = ask.username.as_deref() else {
                return Decide::go_on();
            };
            if self.is_banned(&Banned::User(user.into())) {
                return banned("this user is banned");
            }
            let Some(address) = address_in(client.address()) else {
                return Decide::go_on();
            };
            if let Some(wait) = self.wait(address, user) {
                let text = format!("too many failed logins; the next is looked at in {} s", wait.as_secs() + 1);
                return Verdict::Close(Denial::new(ReasonCode::ConnectionRateExceeded, &text)).into();
            }
            self.begin(client, address, user);
            Decide::go_on()
        }

        fn connected(&self, told: &Connected) {
            self.finish(&told.peer.address, false);
        }

        fn refused(&self, told: &Refused) {
            let reason = told.reason;
            let has_failed = matches!(reason, ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized);
            if has_failed {
                self.finish(&told.peer.address, true);
            } else {
                self.lock().attempts.remove(&*told.peer.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BanSettings, Banned, Bans, address_in};
    use std::borrow::Cow;
    use std::time::Duration;
    use tidewire_codec::{Connect, Properties, ReasonCode, Version};
    use tidewire_handler::{
        BeforeConnect, Client, Connected, Decide, Handler as _, Peer, Refused, Verdict,
    };

    fn client(address: &str) -> Client {
        Client::new(0, "mqtt".into(), address)
    }

    fn reason<A>(decide: Decide<A>) -> Option<ReasonCode> {
        match decide {
            Decide::Now(Ok(Verdict::Close(denial))) => Some(denial.reason),
            _ => None,
        }
    }

    /// What becomes of a CONNECT with this client id and user name.
    fn connects(bans: &Bans, address: &str, id: &str, user: &str) -> Option<ReasonCode> {
        let connect = Connect {
            client_id: Cow::Borrowed(id),
            username: Some(Cow::Borrowed(user)),
            version: Version::V5,
            clean_start: true,
            keep_alive_secs: 0,
            properties: Properties::EMPTY,
            will: None,
            password: None,
        };
        reason(bans.connect(&client(address), &connect))
    }

    fn peer(address: &str) -> Peer {
        Peer {
            listener: 0,
            address: address.into(),
        }
    }

    fn fails(bans: &Bans, address: &str, user: &str) {
        assert_eq!(connects(bans, address, "c", user), None);
        bans.refused(&Refused {
            client_id: None,
            peer: peer(address),
            reason: ReasonCode::BadUserNameOrPassword,
            text: "".into(),
        });
    }

    #[test]
    fn whoever_is_banned_stays_out_until_it_is_lifted_or_over() {
        let bans = Bans::default();
        let address = Banned::Address([192, 0, 2, 7].into());
        let before = |at: &str| reason(bans.before_connect(&client(at), &BeforeConnect));
        bans.ban(address.clone(), None);
        bans.ban(
            Banned::User("mallory".into()),
            Some(Duration::from_secs(60)),
        );
        bans.ban(Banned::Client("rogue".into()), Some(Duration::ZERO));
        assert_eq!(before("192.0.2.7:1"), Some(ReasonCode::Banned));
        assert_eq!(before("[::ffff:192.0.2.7]:1"), Some(ReasonCode::Banned));
        assert_eq!(before("192.0.2.8:1"), None);
        assert_eq!(before("/run/socket"), None);
        let at = "192.0.2.8:1";
        assert_eq!(
            connects(&bans, at, "c", "mallory"),
            Some(ReasonCode::Banned)
        );
        assert_eq!(connects(&bans, at, "rogue", "alice"), None, "it is over");
        let listed = bans.bans();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0], (address.clone(), None));
        assert!(
            listed[1]
                .1
                .is_some_and(|left| left <= Duration::from_secs(60))
        );
        assert!(bans.lift(&address) && !bans.lift(&address));
        assert_eq!(before("192.0.2.7:1"), None);
    }

    #[test]
    fn a_name_that_fails_too_often_waits_at_that_address_alone() {
        let bans = Bans::new(BanSettings {
            max_login_failures: 3,
            login_ban_secs: 3600,
        });
        for port in 1..=3 {
            fails(&bans, &format!("192.0.2.7:{port}"), "alice");
        }
        let rate = Some(ReasonCode::ConnectionRateExceeded);
        assert_eq!(connects(&bans, "192.0.2.7:4", "c", "alice"), rate);
        assert_eq!(connects(&bans, "192.0.2.7:5", "c", "bob"), None);
        assert_eq!(connects(&bans, "192.0.2.8:1", "c", "alice"), None);
    }

    #[test]
    fn who_logs_in_begins_anew() {
        let bans = Bans::new(BanSettings {
            max_login_failures: 2,
            login_ban_secs: 3600,
        });
        for port in 1..=5 {
            fails(&bans, &format!("192.0.2.7:{port}"), "alice");
            let address = format!("192.0.2.7:1{port}");
            assert_eq!(connects(&bans, &address, "c", "alice"), None);
            bans.connected(&Connected {
                client_id: "c".into(),
                peer: peer(&address),
                version: Version::V5,
                session_present: false,
                keep_alive_secs: 0,
            });
        }
        let off = Bans::new(BanSettings {
            max_login_failures: 0,
            login_ban_secs: 3600,
        });
        for port in 1..=100 {
            fails(&off, &format!("192.0.2.7:{port}"), "alice");
        }
    }

    #[test]
    fn addresses_of_other_transports_are_none() {
        assert!(address_in("/run/tidewire.sock").is_none());
        assert!(address_in("pipe:1").is_none());
    }
}
