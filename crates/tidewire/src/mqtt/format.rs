//! `-F`: formats of `sub` and `rr`, as mosquitto's manual describes them and its programs behave.

use std::io::{self, Write};

use jiff::Zoned;
use tidewire_client::Message;
use tidewire_client::codec::Property;

use super::Failure;
use super::json::Json;
use super::payload::{self, PayloadFormat};
use super::properties::kebab;

/// A format, read once.
#[derive(Debug, Default)]
pub(crate) struct Format(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Byte(u8),
    Text(char),
    Field { letter: u8, shape: Shape },
}

/// Width and precision between `%` and its letter.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    is_left: bool,
    is_zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// How JSON is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// On one line.
    Compact,
    /// On several.
    Pretty,
}

/// Letters that may follow `%`.
const LETTERS: &str = "%ACDEFIJPRSUXjlmpqrtx";

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// An unknown or unfinished `%` or `\`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let mut pieces = Vec::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            let piece = match letter {
                '\\' => escape(letters.next())?,
                '%' => field(&mut letters)?,
                other => Piece::Text(other),
            };
            pieces.push(piece);
        }
        Ok(Self(pieces))
    }

    /// Writes a message that came at this time.
    pub(crate) fn write(
        &self,
        message: &Message,
        mid: u16,
        now: &Zoned,
        layout: Layout,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for piece in &self.0 {
            match piece {
                Piece::Byte(byte) => out.write_all(&[*byte])?,
                Piece::Text(letter) => write!(out, "{letter}")?,
                Piece::Field { letter, shape } => {
                    write_field(*letter, *shape, message, mid, now, layout, out)?;
                }
            }
        }
        Ok(())
    }
}

fn escape(letter: Option<char>) -> Result<Piece, Failure> {
    Ok(Piece::Byte(match letter {
        Some('\\') => b'\\',
        Some('0') => 0,
        Some('a') => 7,
        Some('e') => 27,
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('v') => 11,
        Some(other) => {
            return Err(Failure::usage(format!(
                "-F: `\\{other}` stands for nothing"
            )));
        }
        None => return Err(Failure::usage("-F: there is nothing behind the last `\\`")),
    }))
}

fn field(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Piece, Failure> {
    let unfinished = || Failure::usage("-F: there is no letter behind the last `%`");
    let mut shape = Shape::default();
    loop {
        match letters.peek() {
            Some('-') => shape.is_left = true,
            Some('0') => shape.is_zero = true,
            _ => break,
        }
        letters.next();
    }
    shape.width = number(letters).unwrap_or(0);
    if letters.next_if_eq(&'.').is_some() {
        shape.precision = Some(number(letters).unwrap_or(0));
    }
    let letter = letters.next().ok_or_else(unfinished)?;
    if !LETTERS.contains(letter) {
        return Err(Failure::usage(format!(
            "-F: `%{letter}` stands for nothing"
        )));
    }
    let letter = u8::try_from(letter).map_err(|_| unfinished())?;
    Ok(Piece::Field { letter, shape })
}

fn number(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number: Option<usize> = None;
    while let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(10)) {
        letters.next();
        // A width of more than a screen's worth is nobody's wish.
        number = Some((number.unwrap_or(0) * 10 + digit as usize).min(10_000));
    }
    number
}

fn write_field(
    letter: u8,
    shape: Shape,
    message: &Message,
    mid: u16,
    now: &Zoned,
    layout: Layout,
    out: &mut dyn Write,
) -> io::Result<()> {
    let properties = &message.properties;
    let text = |out: &mut dyn Write, value: &str| write_text(value.as_bytes(), shape, out);
    match letter {
        b'%' => out.write_all(b"%"),
        b'A' => write_int(properties.topic_alias().map(u64::from), shape, out),
        b'C' => text(out, properties.content_type().unwrap_or_default()),
        b'D' => out.write_all(properties.correlation_data().unwrap_or_default()),
        b'E' => write_int(
            properties.message_expiry_interval_secs().map(u64::from),
            shape,
            out,
        ),
        b'F' => write_int(
            properties.payload_format_indicator().map(u64::from),
            shape,
            out,
        ),
        b'I' => text(out, &now.strftime("%Y-%m-%dT%H:%M:%S%z").to_string()),
        b'j' | b'J' => write_json(letter == b'J', message, mid, now, layout, out),
        b'l' => write_int(Some(message.payload.len() as u64), shape, out),
        b'm' => write_int(Some(mid.into()), shape, out),
        b'P' => {
            let pairs: Vec<String> = properties
                .user_properties()
                .map(|(name, value)| format!("{name}:{value}"))
                .collect();
            out.write_all(pairs.join(" ").as_bytes())
        }
        b'p' => write_payload(&message.payload, Hex::No, shape, out),
        b'q' => write!(out, "{}", message.qos as u8),
        // A response topic that is not there has no width, and correlation data never have one.
        b'R' => properties
            .response_topic()
            .map_or(Ok(()), |topic| text(out, topic)),
        b'r' => write!(out, "{}", u8::from(message.retain)),
        b'S' => write_subscriptions(message, shape, out),
        b't' => text(out, &message.topic),
        b'U' => {
            let time = now.timestamp();
            write!(out, "{}.{:09}", time.as_second(), time.subsec_nanosecond())
        }
        b'x' => write_payload(&message.payload, Hex::Lower, shape, out),
        b'X' => write_payload(&message.payload, Hex::Upper, shape, out),
        _ => Ok(()),
    }
}

fn write_subscriptions(message: &Message, shape: Shape, out: &mut dyn Write) -> io::Result<()> {
    let mut identifiers = message.properties.subscription_identifiers().peekable();
    if identifiers.peek().is_none() {
        return write_int(None, shape, out);
    }
    for (at, identifier) in identifiers.enumerate() {
        if at > 0 {
            out.write_all(b" ")?;
        }
        write_int(Some(identifier.into()), shape, out)?;
    }
    Ok(())
}

fn write_int(value: Option<u64>, shape: Shape, out: &mut dyn Write) -> io::Result<()> {
    let width = shape.width;
    match value {
        None => write!(out, "{:width$}", ""),
        Some(value) if shape.is_left => write!(out, "{value:<width$}"),
        Some(value) if shape.is_zero => write!(out, "{value:0width$}"),
        Some(value) => write!(out, "{value:width$}"),
    }
}

fn write_text(value: &[u8], shape: Shape, out: &mut dyn Write) -> io::Result<()> {
    let shown = &value[..value.len().min(shape.precision.unwrap_or(usize::MAX))];
    let fill = shape.width.saturating_sub(shown.len());
    if !shape.is_left {
        write!(out, "{:fill$}", "")?;
    }
    out.write_all(shown)?;
    if shape.is_left {
        write!(out, "{:fill$}", "")?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hex {
    No,
    Lower,
    Upper,
}

/// A width cuts payloads off, and hexadecimal ones at half of what one expects: that is what mosquitto does.
fn write_payload(payload: &[u8], hex: Hex, shape: Shape, out: &mut dyn Write) -> io::Result<()> {
    let mut length = payload.len();
    let mut fill = 0;
    if shape.width > 0 {
        length = length.min(shape.width);
        if hex != Hex::No {
            length /= 2;
            fill = shape.width - length * 2;
        } else {
            fill = shape.width - length;
        }
    }
    let pad = if shape.is_zero && !shape.is_left {
        b'0'
    } else {
        b' '
    };
    let padding = vec![pad; fill];
    if !shape.is_left {
        out.write_all(&padding)?;
    }
    let shown = &payload[..length];
    match hex {
        Hex::No => out.write_all(shown)?,
        Hex::Lower => shown
            .iter()
            .try_for_each(|byte| write!(out, "{byte:02x}"))?,
        Hex::Upper => shown
            .iter()
            .try_for_each(|byte| write!(out, "{byte:02X}"))?,
    }
    if shape.is_left {
        out.write_all(&padding)?;
    }
    Ok(())
}

fn write_json(
    is_payload_json: bool,
    message: &Message,
    mid: u16,
    now: &Zoned,
    layout: Layout,
    out: &mut dyn Write,
) -> io::Result<()> {
    let payload = if message.payload.is_empty() {
        Json::Null
    } else if is_payload_json {
        let Some(value) = Json::parse(&message.payload) else {
            let topic = &message.topic;
            return writeln!(io::stderr(), "the payload on {topic} is no JSON");
        };
        value
    } else {
        Json::text(&message.payload)
    };
    let mut members = head(message, mid, now);
    members.push(("payload".to_owned(), payload));
    write_laid_out(Json::Object(members), layout, out)
}

/// The line of `--json`.
pub(crate) fn write_json_line(
    message: &Message,
    mid: u16,
    now: &Zoned,
    format: Option<PayloadFormat>,
    layout: Layout,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (format, value) = payload::as_json(&message.payload, format);
    let mut members = head(message, mid, now);
    members.push(("format".to_owned(), Json::text(format.as_bytes())));
    members.push(("payload".to_owned(), value));
    write_laid_out(Json::Object(members), layout, out)?;
    out.write_all(b"\n")
}

#[expect(clippy::needless_pass_by_value, reason = "it is made for this")]
fn write_laid_out(value: Json, layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&match layout {
        Layout::Compact => value.compact(),
        Layout::Pretty => value.pretty(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a length is far below 2^52")]
fn head(message: &Message, mid: u16, now: &Zoned) -> Vec<(String, Json)> {
    let number = |value: f64| Json::Number(value);
    let time = now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ%z").to_string();
    let mut members = vec![
        ("tst".to_owned(), Json::text(time.as_bytes())),
        ("topic".to_owned(), Json::text(message.topic.as_bytes())),
        ("qos".to_owned(), number((message.qos as u8).into())),
        ("retain".to_owned(), number(u8::from(message.retain).into())),
        (
            "payloadlen".to_owned(),
            number(message.payload.len() as f64),
        ),
    ];
    if mid > 0 {
        members.push(("mid".to_owned(), number(mid.into())));
    }
    if !message.properties.is_empty() {
        members.push(("properties".to_owned(), properties(message)));
    }
    members
}

fn properties(message: &Message) -> Json {
    let mut members: Vec<(String, Json)> = Vec::new();
    for property in message.properties.iter() {
        if let Property::UserProperty(name, value) = property {
            let pair = (name.to_owned(), Json::text(value.as_bytes()));
            let at = members
                .iter()
                .position(|(name, _)| name == "user-properties");
            match at.map(|at| &mut members[at].1) {
                Some(Json::Object(pairs)) => pairs.push(pair),
                _ => members.push(("user-properties".to_owned(), Json::Object(vec![pair]))),
            }
            continue;
        }
        let value = match property {
            Property::ContentType(text) | Property::ResponseTopic(text) => {
                Json::text(text.as_bytes())
            }
            Property::CorrelationData(data) => Json::text(data),
            other => other
                .number()
                .map_or(Json::Null, |number| Json::Number(number.into())),
        };
        members.push((kebab(property.id().name()), value));
    }
    Json::Object(members)
}
