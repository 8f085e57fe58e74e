//! `--payload-format`: how payloads are written on the command line and printed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Failure;
use super::json::Json;

/// How a payload is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PayloadFormat {
    /// As it is.
    Text,
    /// Two hexadecimal digits a byte.
    Hex,
    /// Base64.
    Base64,
    /// JSON: checked when published, indented when printed.
    Json,
}

impl PayloadFormat {
    /// The format of this name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn of_name(name: &str) -> Result<Self, Failure> {
        Ok(match name {
            "text" => Self::Text,
            "hex" => Self::Hex,
            "base64" => Self::Base64,
            "json" => Self::Json,
            _ => {
                return Err(Failure::usage(format!(
                    "--payload-format takes text, hex, base64 or json, not `{name}`"
                )));
            }
        })
    }

    /// The bytes that a text stands for.
    ///
    /// # Errors
    /// The text is not written so.
    pub(crate) fn read(self, text: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let wrong = |what: &str| Failure::usage(format!("the payload is not {what}"));
        match self {
            Self::Text => Ok(text),
            Self::Json if Json::parse(&text).is_none() => Err(wrong("JSON")),
            Self::Json => Ok(text),
            Self::Base64 => STANDARD
                .decode(text.trim_ascii())
                .map_err(|_| wrong("Base64")),
            Self::Hex => from_hex(text.trim_ascii()).ok_or_else(|| wrong("hexadecimal")),
        }
    }

    /// A payload, written so; JSON that is none stays as it is.
    pub(crate) fn print(self, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::Text => payload.to_vec(),
            Self::Hex => to_hex(payload).into_bytes(),
            Self::Base64 => STANDARD.encode(payload).into_bytes(),
            Self::Json => {
                Json::parse(payload).map_or_else(|| payload.to_vec(), |value| value.pretty())
            }
        }
    }
}

/// A payload as a member of `--json`, and the name of its format: text where it is, Base64 where not, if nothing is asked for.
pub(crate) fn as_json(payload: &[u8], wanted: Option<PayloadFormat>) -> (&'static str, Json) {
    let is_plain_text = std::str::from_utf8(payload).is_ok() && !payload.contains(&0);
    let base64 = || ("base64", Json::text(STANDARD.encode(payload).as_bytes()));
    match wanted {
        Some(PayloadFormat::Hex) => ("hex", Json::text(to_hex(payload).as_bytes())),
        Some(PayloadFormat::Base64) => base64(),
        Some(PayloadFormat::Json) if let Some(value) = Json::parse(payload) => ("json", value),
        _ if is_plain_text => ("text", Json::text(payload)),
        _ => base64(),
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let digits: Vec<u8> = text
        .chars()
        .filter(|letter| !letter.is_ascii_whitespace())
        .map(|letter| {
            letter
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect::<Option<_>>()?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for format in [
            PayloadFormat::Text,
            PayloadFormat::Hex,
            PayloadFormat::Base64,
        ] {
            let payload = b"\x00\xffabc".to_vec();
            assert_eq!(format.read(format.print(&payload)).expect("right"), payload);
        }
    }

    #[test]
    fn payload_that_is_not_written_so_is_told() {
        assert!(PayloadFormat::Hex.read(b"abc".to_vec()).is_err());
        assert!(PayloadFormat::Hex.read(b"zz".to_vec()).is_err());
        assert!(PayloadFormat::Json.read(b"{".to_vec()).is_err());
        assert!(PayloadFormat::Base64.read(b"?".to_vec()).is_err());
    }
}
