//! What a device answers.

use super::line::LineError;
use super::{Line, ModbusUrl};
use std::fmt::Write as _;
use std::time::Duration;

/// Addresses that are asked for with one request, before they are asked for one by one.
const STEP: u16 = 25;

/// Asks for each of the four tables, and says what is there as lines for people.
///
/// # Errors
/// The device cannot be reached, or answers to nothing.
pub async fn probe_modbus(
    url: &ModbusUrl,
    unit: u8,
    from: u16,
    count: u16,
    timeout: Duration,
) -> Result<String, String> {
    let mut line = Line::open(url, unit, timeout)
        .await
        .map_err(|error| error.text())?;
    let mut text = String::new();
    let mut answers = 0_u32;
    for table in ["holding", "input", "coil", "discrete"] {
        let mut found = 0_u32;
        let mut at = u32::from(from);
        let end = (at + u32::from(count)).min(65_536);
        while at < end {
            let step = u16::try_from((end - at).min(STEP.into())).unwrap_or(STEP);
            let address = u16::try_from(at).unwrap_or(u16::MAX);
            match read(&mut line, table, address, step).await {
                Ok(values) => found += list(&mut text, table, address, &values),
                Err(LineError::Refused(_)) => {
                    // Some of them are not there: which are?
                    for address in address..=address.saturating_add(step - 1) {
                        match read(&mut line, table, address, 1).await {
                            Ok(values) => found += list(&mut text, table, address, &values),
                            Err(LineError::Refused(_)) => {}
                            Err(error) => return Err(error.text()),
                        }
                    }
                }
                Err(error) => return Err(error.text()),
            }
            at += u32::from(step);
        }
        answers += found;
        let _ = writeln!(
            text,
            "{table}: {found} of {} addresses answer",
            end - u32::from(from)
        );
    }
    if answers == 0 {
        return Err(format!(
            "unit {unit} answers, but none of the addresses {from} to {} is there",
            u32::from(from) + u32::from(count) - 1
        ));
    }
    Ok(text)
}

async fn read(
    line: &mut Line,
    table: &str,
    address: u16,
    count: u16,
) -> Result<Vec<u16>, LineError> {
    if matches!(table, "coil" | "discrete") {
        let bits = line.bits(table, address, count).await?;
        Ok(bits.into_iter().map(u16::from).collect())
    } else {
        line.registers(table, address, count).await
    }
}

fn list(text: &mut String, table: &str, address: u16, values: &[u16]) -> u32 {
    for (offset, value) in values.iter().enumerate() {
        let address = usize::from(address) + offset;
        let _ = writeln!(text, "{table} {address}: {value} (0x{value:04x})");
    }
    u32::try_from(values.len()).unwrap_or(u32::MAX)
}
