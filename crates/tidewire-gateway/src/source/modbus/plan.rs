//! Which registers are read together.

use super::Register;
use std::time::Duration;

/// The most registers that one request may read, by the standard.
const REGISTERS_MAX: u16 = 125;
/// The most bits.
const BITS_MAX: u16 = 2000;

/// Neighbours that one request reads.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Block {
    pub(crate) table: Box<str>,
    pub(crate) address: u16,
    pub(crate) count: u16,
    pub(crate) interval: Duration,
    /// Places in the list of registers.
    pub(crate) registers: Vec<usize>,
}

/// Groups registers of the same table and interval; two are read together if at most `max_gap` others lie between.
pub(crate) fn plan(registers: &[Register], interval: Duration, max_gap: u16) -> Vec<Block> {
    let mut order: Vec<usize> = (0..registers.len()).collect();
    let key = |place: &usize| {
        registers
            .get(*place)
            .map(|r| (r.table.clone(), r.interval.unwrap_or(interval), r.address))
    };
    order.sort_by_key(key);
    let mut blocks: Vec<Block> = Vec::new();
    for place in order {
        let Some(register) = registers.get(place) else {
            continue;
        };
        let own = register.interval.unwrap_or(interval);
        let end = u32::from(register.address) + u32::from(register.count());
        let most = if register.is_bits() {
            BITS_MAX
        } else {
            REGISTERS_MAX
        };
        if let Some(last) = blocks.last_mut() {
            let is_near = last.table == register.table
                && last.interval == own
                && u32::from(register.address)
                    <= u32::from(last.address) + u32::from(last.count) + u32::from(max_gap);
            let count = end
                .saturating_sub(last.address.into())
                .max(last.count.into());
            if is_near && count <= most.into() {
                last.count = u16::try_from(count).unwrap_or(most);
                last.registers.push(place);
                continue;
            }
        }
        blocks.push(Block {
            table: register.table.clone(),
            address: register.address,
            count: register.count(),
            interval: own,
            registers: vec![place],
        });
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(table: &str, address: u16, kind: &str) -> Register {
        Register {
            input: "x".into(),
            desc: "".into(),
            unit: "".into(),
            table: table.into(),
            address,
            kind: kind.into(),
            order: "abcd".into(),
            bit: 0,
            length: 1,
            scale: 1.0,
            offset: 0.0,
            interval: None,
            writable: false,
            dead_band: None,
        }
    }

    fn blocks(registers: &[Register], max_gap: u16) -> Vec<(String, u16, u16)> {
        let blocks = plan(registers, Duration::from_secs(1), max_gap);
        blocks
            .into_iter()
            .map(|b| (b.table.to_string(), b.address, b.count))
            .collect()
    }

    #[test]
    fn neighbours_are_read_together_and_distant_ones_are_not() {
        let registers = [
            at("holding", 10, "f32"),
            at("holding", 0, "u16"),
            at("holding", 1, "u64"),
            at("input", 0, "u16"),
        ];
        assert_eq!(
            blocks(&registers, 4),
            [
                ("holding".into(), 0, 5),
                ("holding".into(), 10, 2),
                ("input".into(), 0, 1)
            ]
        );
        assert_eq!(blocks(&registers, 5)[0], ("holding".into(), 0, 12));
    }

    #[test]
    fn a_request_never_asks_for_more_than_the_standard_allows() {
        let registers: Vec<_> = (0..300)
            .map(|address| at("holding", address, "u16"))
            .collect();
        let found = blocks(&registers, 0);
        assert_eq!(found.iter().map(|(.., count)| count).max(), Some(&125));
        assert_eq!(
            found
                .iter()
                .map(|(.., count)| u32::from(*count))
                .sum::<u32>(),
            300
        );
    }
}
