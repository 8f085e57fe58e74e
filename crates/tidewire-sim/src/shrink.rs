//! From a life that went wrong to a short one that goes wrong in the same way.

use crate::failure::Oracle;
use crate::script::Script;

/// Lives that are tried at most.
const TRIES: usize = 80;

/// Leaves out acts as long as the same oracle objects.
pub(crate) fn shrink(
    script: &Script,
    oracle: Oracle,
    objects: impl Fn(&Script) -> Option<Oracle>,
) -> Script {
    let mut best = script.clone();
    let mut tries = 0;
    let mut piece = best.acts.len().div_ceil(2);
    while piece > 0 && tries < TRIES {
        let mut at = 0;
        let mut smaller = false;
        while at < best.acts.len() && tries < TRIES {
            let mut shorter = best.clone();
            let end = (at + piece).min(shorter.acts.len());
            shorter.acts.drain(at..end);
            tries += 1;
            if objects(&shorter) == Some(oracle) {
                best = shorter;
                smaller = true;
            } else {
                at += piece;
            }
        }
        if piece == 1 && !smaller {
            break;
        }
        piece = if piece == 1 { 1 } else { piece.div_ceil(2) };
    }
    best
}
