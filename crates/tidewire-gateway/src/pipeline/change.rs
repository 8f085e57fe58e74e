//! Which values are worth sending: the first, those that changed enough, and one now and then.

use crate::model::{Quality, Value, ValueRef};

/// When a value counts as changed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DeadBand {
    /// It differs by more than this from the last one that passed.
    pub absolute: f64,
    /// It differs by more than this part of the last one that passed, in percent; 0 = any.
    pub percent: f64,
    /// A value that has not changed passes all the same after so many milliseconds; 0 = never.
    pub refresh_ms: u32,
}

impl Default for DeadBand {
    /// Any change of more than a millionth, and a refresh every five minutes.
    fn default() -> Self {
        Self {
            absolute: 1e-6,
            percent: 0.0,
            refresh_ms: 300_000,
        }
    }
}

impl DeadBand {
    /// Everything passes.
    pub const NONE: Self = Self {
        absolute: -1.0,
        percent: 0.0,
        refresh_ms: 0,
    };
}

/// Why a value passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passed {
    /// It is the first of its series.
    First,
    /// Its quality is another one.
    Quality,
    /// It changed.
    Changed,
    /// It did not change, but it was time.
    Refresh,
}

/// What a series last let pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    last: Option<Last>,
}

#[derive(Clone, Debug)]
struct Last {
    value: Value,
    quality: Quality,
    at_ms: i64,
}

impl Gate {
    /// Whether a value passes, and why; it is then the one that the next is compared with.
    pub(crate) fn judge(
        &mut self,
        band: &DeadBand,
        value: ValueRef<'_>,
        quality: Quality,
        now_ms: i64,
    ) -> Option<Passed> {
        let why = match &self.last {
            None => Passed::First,
            Some(last) if last.quality != quality => Passed::Quality,
            Some(last) if differs(band, last.value.borrowed(), value) => Passed::Changed,
            Some(last) if is_due(band, last.at_ms, now_ms) => Passed::Refresh,
            Some(_) => return None,
        };
        match &mut self.last {
            // The usual case without an allocation.
            Some(last) if !matches!(value, ValueRef::Text(_)) => {
                last.value = value.to_owned();
                last.quality = quality;
                last.at_ms = now_ms;
            }
            last => {
                *last = Some(Last {
                    value: value.to_owned(),
                    quality,
                    at_ms: now_ms,
                });
            }
        }
        Some(why)
    }
}

/// A clock that was set back must not silence a series.
fn is_due(band: &DeadBand, then_ms: i64, now_ms: i64) -> bool {
    band.refresh_ms > 0
        && now_ms.saturating_sub(then_ms).unsigned_abs() >= u64::from(band.refresh_ms)
}

fn differs(band: &DeadBand, last: ValueRef<'_>, value: ValueRef<'_>) -> bool {
    if band.absolute < 0.0 {
        return true;
    }
    match (last, value) {
        (ValueRef::Bool(last), ValueRef::Bool(value)) => last != value,
        (ValueRef::Text(last), ValueRef::Text(value)) => last != value,
        (ValueRef::Null, ValueRef::Null) => false,
        (ValueRef::Int(_) | ValueRef::Float(_), ValueRef::Int(_) | ValueRef::Float(_)) => {
            let (Some(last), Some(value)) = (last.number(), value.number()) else {
                return true;
            };
            if last.is_finite() && value.is_finite() {
                let difference = (value - last).abs();
                difference > band.absolute && difference > last.abs() * band.percent / 100.0
            } else {
                last.to_bits() != value.to_bits() && !(last.is_nan() && value.is_nan())
            }
        }
        // Another type.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passes(band: &DeadBand, values: &[(f64, i32, i64)]) -> Vec<Option<Passed>> {
        let mut gate = Gate::default();
        values
            .iter()
            .map(|(value, quality, now)| {
                gate.judge(band, ValueRef::Float(*value), Quality(*quality), *now)
            })
            .collect()
    }

    #[test]
    fn first_quality_change_and_refresh_pass_and_nothing_else() {
        let band = DeadBand::default();
        let outcome = passes(
            &band,
            &[
                (1.0, 0, 0),
                (1.0, 0, 1),
                (1.000_000_5, 0, 2),
                (1.1, 0, 3),
                (1.1, 1, 4),
                (1.1, 1, 300_003),
                (1.1, 1, 300_004),
                (1.1, 1, 4),
                (1.1, 1, 5),
            ],
        );
        use Passed as P;
        let expected = [
            Some(P::First),
            None,
            None,
            Some(P::Changed),
            Some(P::Quality),
            None,
            Some(P::Refresh),
            // The clock was set back by more than the refresh interval.
            Some(P::Refresh),
            None,
        ];
        assert_eq!(outcome, expected);
    }

    #[test]
    fn percent_is_of_the_last_value_that_passed() {
        let band = DeadBand {
            percent: 10.0,
            ..DeadBand::default()
        };
        let outcome = passes(
            &band,
            &[(100.0, 0, 0), (109.0, 0, 1), (111.0, 0, 2), (101.0, 0, 3)],
        );
        assert_eq!(outcome.map_passed(), [true, false, true, false]);
    }

    #[test]
    fn not_a_number_is_one_value_and_another_type_is_a_change() {
        let band = DeadBand::default();
        let mut gate = Gate::default();
        let mut judge = |value| gate.judge(&band, value, Quality::GOOD, 0).is_some();
        assert!(judge(ValueRef::Float(f64::NAN)));
        assert!(!judge(ValueRef::Float(f64::NAN)));
        assert!(judge(ValueRef::Float(f64::INFINITY)));
        assert!(judge(ValueRef::Text("a")));
        assert!(!judge(ValueRef::Text("a")));
        assert!(judge(ValueRef::Bool(true)));
        assert!(judge(ValueRef::Null));
        assert!(!judge(ValueRef::Null));
    }

    trait MapPassed {
        fn map_passed(&self) -> Vec<bool>;
    }

    impl MapPassed for Vec<Option<Passed>> {
        fn map_passed(&self) -> Vec<bool> {
            self.iter().map(Option::is_some).collect()
        }
    }

    proptest! {
        /// Whoever sees only what passed is never further off than the dead-band.
        #[test]
        fn what_is_held_back_is_never_further_off_than_the_dead_band(
            values in proptest::collection::vec(-100.0_f64..100.0, 1..200),
            absolute in 0.0_f64..20.0,
        ) {
            let band = DeadBand { absolute, percent: 0.0, refresh_ms: 0 };
            let mut gate = Gate::default();
            let mut seen = f64::NAN;
            for value in values {
                if gate.judge(&band, ValueRef::Float(value), Quality::GOOD, 0).is_some() {
                    seen = value;
                }
                prop_assert!((seen - value).abs() <= absolute);
            }
        }
    }
}
