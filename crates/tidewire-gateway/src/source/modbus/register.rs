//! What registers mean.

use crate::model::Value;
use std::time::Duration;

/// A value in registers or coils.
#[derive(Clone, PartialEq, Debug)]
pub struct Register {
    /// The input's name.
    pub input: Box<str>,
    /// A sentence for people.
    pub desc: Box<str>,
    /// The value's unit.
    pub unit: Box<str>,
    /// `holding`, `input`, `coil` or `discrete`.
    pub table: Box<str>,
    /// The address, from 0.
    pub address: u16,
    /// How the bits are read: `u16`, `f32`, `bool`, `text`, ...
    pub kind: Box<str>,
    /// Order of bytes: `abcd`, `badc`, `cdab`, `dcba`.
    pub order: Box<str>,
    /// The bit of a `bool` in a register.
    pub bit: u8,
    /// Registers of a `text`.
    pub length: u16,
    /// The value is the number times this ...
    pub scale: f64,
    /// ... plus this.
    pub offset: f64,
    /// Time between two readings, if it is another than the device's.
    pub interval: Option<Duration>,
    /// Whether it can be written.
    pub writable: bool,
    /// Another dead-band than the gateway's.
    pub dead_band: Option<f64>,
}

impl Register {
    /// Whether it can be.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.is_bits() && self.kind.as_ref() != "bool" && self.kind.as_ref() != "u16" {
            return Err(format!("a {} is a bool, not `{}`", self.table, self.kind));
        }
        if u32::from(self.address) + u32::from(self.count()) > 65_536 {
            return Err("its last register would be beyond 65535".to_owned());
        }
        if self.writable && !matches!(&*self.table, "holding" | "coil") {
            return Err(format!(
                "a register of the table `{}` cannot be written",
                self.table
            ));
        }
        if self.writable && !self.is_bits() && matches!(&*self.kind, "bool" | "text") {
            return Err(format!(
                "a `{}` in holding registers cannot be written",
                self.kind
            ));
        }
        if self.scale == 0.0 {
            return Err("`scale` is 0, so every value would be the same".to_owned());
        }
        Ok(())
    }

    /// Whether it is in one of the two tables of bits.
    #[must_use]
    pub fn is_bits(&self) -> bool {
        matches!(&*self.table, "coil" | "discrete")
    }

    /// Registers or bits that it takes.
    #[must_use]
    pub fn count(&self) -> u16 {
        match &*self.kind {
            _ if self.is_bits() => 1,
            "u32" | "i32" | "f32" => 2,
            "u64" | "i64" | "f64" => 4,
            "text" => self.length,
            _ => 1,
        }
    }

    /// The value of a bit.
    #[must_use]
    pub fn of_bit(bit: bool) -> Value {
        Value::Bool(bit)
    }

    /// The value in registers; `None` if there are too few.
    #[must_use]
    pub fn decode(&self, words: &[u16]) -> Option<Value> {
        let words = words.get(..usize::from(self.count()))?;
        if self.kind.as_ref() == "bool" {
            return Some(Value::Bool(words.first()? >> self.bit & 1 == 1));
        }
        let bytes = self.ordered(words);
        if self.kind.as_ref() == "text" {
            let end = bytes
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(bytes.len());
            let text = String::from_utf8_lossy(bytes.get(..end)?);
            return Some(Value::Text(text.trim_end().into()));
        }
        let whole = match (&*self.kind, bytes.as_slice()) {
            ("u16", [a, b]) => i128::from(u16::from_be_bytes([*a, *b])),
            ("i16", [a, b]) => i128::from(i16::from_be_bytes([*a, *b])),
            ("u32", bytes) => i128::from(u32::from_be_bytes(bytes.try_into().ok()?)),
            ("i32", bytes) => i128::from(i32::from_be_bytes(bytes.try_into().ok()?)),
            ("u64", bytes) => i128::from(u64::from_be_bytes(bytes.try_into().ok()?)),
            ("i64", bytes) => i128::from(i64::from_be_bytes(bytes.try_into().ok()?)),
            ("f32", bytes) => {
                return Some(self.scaled(shortest(f32::from_be_bytes(bytes.try_into().ok()?))));
            }
            ("f64", bytes) => return Some(self.scaled(f64::from_be_bytes(bytes.try_into().ok()?))),
            _ => return None,
        };
        if (self.scale - 1.0).abs() < f64::EPSILON && self.offset == 0.0 {
            // Whole numbers stay whole.
            return Some(
                i64::try_from(whole).map_or_else(|_| self.scaled(as_f64(whole)), Value::Int),
            );
        }
        Some(self.scaled(as_f64(whole)))
    }

    fn scaled(&self, number: f64) -> Value {
        let value = number * self.scale + self.offset;
        // 217 * 0.1 is 21.7 to everybody but a processor.
        let rounded = (value * 1e9).round() / 1e9;
        let is_close = (rounded - value).abs() <= value.abs() * 1e-12;
        Value::Float(if is_close { rounded } else { value })
    }

    /// The registers that hold a value.
    ///
    /// # Errors
    /// A sentence: the value does not fit.
    pub fn encode(&self, value: &Value) -> Result<Vec<u16>, String> {
        let number = value.borrowed().number().ok_or("the value is no number")?;
        let raw = (number - self.offset) / self.scale;
        let bytes: Vec<u8> = match &*self.kind {
            "f32" => (raw as f32).to_be_bytes().to_vec(),
            "f64" => raw.to_be_bytes().to_vec(),
            kind => {
                let whole = whole(raw, value, self)?;
                let fits = format!("{number} does not fit {kind}");
                match kind {
                    "u16" => u16::try_from(whole)
                        .map_err(|_| fits)?
                        .to_be_bytes()
                        .to_vec(),
                    "i16" => i16::try_from(whole)
                        .map_err(|_| fits)?
                        .to_be_bytes()
                        .to_vec(),
                    "u32" => u32::try_from(whole)
                        .map_err(|_| fits)?
                        .to_be_bytes()
                        .to_vec(),
                    "i32" => i32::try_from(whole)
                        .map_err(|_| fits)?
                        .to_be_bytes()
                        .to_vec(),
                    "u64" => u64::try_from(whole)
                        .map_err(|_| fits)?
                        .to_be_bytes()
                        .to_vec(),
                    "i64" => i64::try_from(whole)
                        .map_err(|_| fits)?
                        .to_be_bytes()
                        .to_vec(),
                    _ => return Err(format!("a `{kind}` cannot be written")),
                }
            }
        };
        let words: Vec<u16> = bytes
            .chunks(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect();
        // Every order is its own inverse.
        let bytes = self.ordered(&words);
        Ok(bytes
            .chunks(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect())
    }

    /// The bytes in the order of the most significant first.
    fn ordered(&self, words: &[u16]) -> Vec<u8> {
        let swap_words = matches!(&*self.order, "cdab" | "dcba");
        let swap_bytes = matches!(&*self.order, "badc" | "dcba");
        let in_word = |word: &u16| {
            if swap_bytes {
                word.to_le_bytes()
            } else {
                word.to_be_bytes()
            }
        };
        if swap_words && self.kind.as_ref() != "text" {
            words.iter().rev().flat_map(in_word).collect()
        } else {
            words.iter().flat_map(in_word).collect()
        }
    }
}
fn as_f64(whole: i128) -> f64 {
    whole as f64
}

/// 0.1 in 32 bits is 0.1, not 0.10000000149.
fn shortest(number: f32) -> f64 {
    number
        .to_string()
        .parse()
        .unwrap_or_else(|_| f64::from(number))
}

fn whole(raw: f64, value: &Value, register: &Register) -> Result<i128, String> {
    if let Value::Int(whole) = value
        && (register.scale - 1.0).abs() < f64::EPSILON
        && register.offset == 0.0
    {
        return Ok(i128::from(*whole));
    }
    if !raw.is_finite() {
        return Err("the value is no finite number".to_owned());
    }
    let whole = raw.round() as i128;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn register(kind: &str, order: &str) -> Register {
        Register {
            input: "x".into(),
            desc: "".into(),
            unit: "".into(),
            table: "holding".into(),
            address: 0,
            kind: kind.into(),
            order: order.into(),
            bit: 3,
            length: 3,
            scale: 1.0,
            offset: 0.0,
            interval: None,
            writable: true,
            dead_band: None,
        }
    }

    #[test]
    fn known_registers_are_read() {
        let rows: [(&str, &str, &[u16], Value); 11] = [
            ("u16", "abcd", &[0xfffe], Value::Int(65_534)),
            ("i16", "abcd", &[0xfffe], Value::Int(-2)),
            ("i16", "badc", &[0xfeff], Value::Int(-2)),
            ("u32", "abcd", &[0x0001, 0x0002], Value::Int(65_538)),
            ("u32", "cdab", &[0x0002, 0x0001], Value::Int(65_538)),
            ("u32", "badc", &[0x0100, 0x0200], Value::Int(65_538)),
            ("u32", "dcba", &[0x0200, 0x0100], Value::Int(65_538)),
            ("f32", "abcd", &[0x41ac, 0xcccd], Value::Float(21.6)),
            ("f64", "abcd", &[0x4035, 0x8000, 0, 0], Value::Float(21.5)),
            ("bool", "abcd", &[0b1000], Value::Bool(true)),
            (
                "text",
                "abcd",
                &[0x5075, 0x6d70, 0x2000],
                Value::Text("Pump".into()),
            ),
        ];
        for (kind, order, words, value) in rows {
            assert_eq!(
                register(kind, order).decode(words),
                Some(value),
                "{kind} {order}"
            );
        }
        assert_eq!(register("u32", "abcd").decode(&[1]), None);
    }

    #[test]
    fn scaled_values_are_what_people_expect() {
        let mut scaled = register("i16", "abcd");
        scaled.scale = 0.1;
        scaled.offset = -40.0;
        assert_eq!(scaled.decode(&[617]), Some(Value::Float(21.7)));
        assert_eq!(scaled.encode(&Value::Float(21.7)), Ok(vec![617]));
        assert!(scaled.encode(&Value::Float(1e9)).is_err());
        assert!(scaled.encode(&Value::Text("x".into())).is_err());
        assert!(scaled.encode(&Value::Float(f64::NAN)).is_err());
    }

    #[test]
    fn registers_that_cannot_be_are_told() {
        for change in [
            |r: &mut Register| r.table = "input".into(),
            |r: &mut Register| r.scale = 0.0,
            |r: &mut Register| r.address = 65_535,
            |r: &mut Register| r.kind = "text".into(),
        ] {
            let mut wrong = register("u32", "abcd");
            change(&mut wrong);
            assert!(wrong.check().is_err());
        }
        assert_eq!(register("u32", "abcd").check(), Ok(()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(number: i32, order in 0_usize..4) {
            let order = ["abcd", "badc", "cdab", "dcba"][order];
            for kind in ["i32", "i64", "f64"] {
                let register = register(kind, order);
                let words = register.encode(&Value::Int(number.into())).expect("fits");
                let back = register.decode(&words).expect("a value");
                prop_assert_eq!(back.borrowed().number(), Some(f64::from(number)));
            }
        }
    }
}
