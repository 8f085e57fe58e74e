//! Which workers own the groups of this worker's sessions: whom to tell that a client has come or gone.

use crate::keys::WorkerId;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Sessions without shared subscriptions are not in it.
#[derive(Debug)]
pub(crate) struct Homes {
    /// By the session's slot: each owner, and in how many of its groups the session is.
    owners: HashMap<u32, Vec<(WorkerId, u32)>, FixedState>,
}

impl Homes {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            owners: HashMap::with_hasher(FixedState::with_seed(seed)),
        }
    }

    pub(crate) fn entered(&mut self, session: u32, owner: WorkerId) {
        let owners = self.owners.entry(session).or_default();
        if let Some((_, groups)) = owners.iter_mut().find(|(known, _)| *known == owner) {
            *groups += 1;
        } else {
            owners.push((owner, 1));
        }
    }

    pub(crate) fn left(&mut self, session: u32, owner: WorkerId) {
        let Some(owners) = self.owners.get_mut(&session) else {
            return;
        };
        if let Some(at) = owners.iter().position(|(known, _)| *known == owner) {
            let groups = owners.get_mut(at).map_or(0, |(_, groups)| {
                *groups -= 1;
                *groups
            });
            if groups == 0 {
                owners.swap_remove(at);
            }
        }
        if owners.is_empty() {
            self.owners.remove(&session);
        }
    }

    /// The owners of a session's groups, each once.
    pub(crate) fn of(&self, session: u32) -> Vec<WorkerId> {
        let owners = self.owners.get(&session);
        owners.map_or_else(Vec::new, |owners| {
            owners.iter().map(|(owner, _)| *owner).collect()
        })
    }
}
