//! Names that somebody misspelt.

/// Below this similarity a name is no suggestion: it would only confuse.
const LEAST_SIMILARITY: f64 = 0.85;

/// The word of `known` that is closest to `written`, if any is close.
pub(crate) fn closest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let scored = known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(written, word), word));
    let best = scored.max_by(|(left, _), (right, _)| left.total_cmp(right));
    best.filter(|(score, _)| *score >= LEAST_SIMILARITY)
        .map(|(_, word)| word)
}
