//! `tidewire ctl retained`: asks page by page, and prints what comes as it comes.

use super::arguments::RetainedOperation;
use super::message::RetainedMessage;
use crate::control::client::exchange;
use crate::control::protocol::{Answer, Body, Operation, Request, RetainedList, VERSION};
use crate::exit::{Failure, Status};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of lines that one request carries; a single longer one goes alone.
const IMPORT_BYTES: usize = 1024 * 1024;

/// How long an import waits for the broker's store to have answered everything.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// Runs the command.
pub(crate) fn run(operation: &RetainedOperation, data: &Path, json: bool) -> Result<(), Failure> {
    match operation {
        RetainedOperation::List { filter, limit } => list(data, filter, "", *limit, json),
        RetainedOperation::Search {
            text,
            filter,
            limit,
        } => list(data, filter, text, *limit, json),
        RetainedOperation::Delete { filter, dry_run } => delete(data, filter, *dry_run, json),
        RetainedOperation::Export { filter, output } => export(data, filter, output.as_deref()),
        RetainedOperation::Import { file } => import(data, file, json),
    }
}

fn ask(data: &Path, operation: Operation) -> Result<Body, Failure> {
    let line = exchange(
        data,
        &Request {
            v: VERSION,
            operation,
        },
    )?;
    let wrong = |what: String| Failure::new(Status::Failed, what);
    let answer: Answer = serde_json::from_str(&line)
        .map_err(|error| wrong(format!("the broker gave an answer it cannot mean: {error}")))?;
    match (answer.body, answer.refusal) {
        (Some(body), _) if answer.ok => Ok(body),
        (_, Some(refusal)) if refusal.error == "filter" => {
            Err(Failure::new(Status::Usage, refusal.message))
        }
        (_, Some(refusal)) => Err(wrong(refusal.message)),
        _ => Err(wrong(
            "the broker gave an answer of another version".to_owned(),
        )),
    }
}

/// Shows `visit` every message that matches, until it has seen enough.
fn each(
    data: &Path,
    filter: &str,
    mut visit: impl FnMut(RetainedMessage) -> io::Result<ControlFlow<()>>,
) -> Result<(), Failure> {
    let mut from = None;
    loop {
        let operation = Operation::Retained {
            filter: filter.to_owned(),
            from,
        };
        let Body::Retained(RetainedList { messages, next }) = ask(data, operation)? else {
            return Err(Failure::new(
                Status::Failed,
                "the broker gave an answer to something else",
            ));
        };
        for message in messages {
            match visit(message) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(()),
                // A reader who has seen enough (`| head`) is no failure.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(unwritable(&error)),
            }
        }
        from = next;
        if from.is_none() {
            return Ok(());
        }
    }
}

fn list(
    data: &Path,
    filter: &str,
    text: &str,
    limit: Option<u64>,
    json: bool,
) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let (text, mut shown) = (text.to_lowercase(), 0);
    each(data, filter, |message| {
        if !text.is_empty() && !contains(&message, &text) {
            return Ok(ControlFlow::Continue(()));
        }
        if limit.is_some_and(|limit| shown >= limit) {
            return Ok(ControlFlow::Break(()));
        }
        shown += 1;
        if json {
            serde_json::to_writer(&mut out, &message)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", row(&message))?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    out.flush()
        .or_else(ended)
        .map_err(|error| unwritable(&error))?;
    if shown == 0 && !json {
        note("nothing is retained there");
    }
    Ok(())
}

fn contains(message: &RetainedMessage, text: &str) -> bool {
    let payload = message.bytes().unwrap_or_default();
    let payload = String::from_utf8_lossy(&payload).to_lowercase();
    message.topic.to_lowercase().contains(text) || payload.contains(text)
}

/// QoS, bytes, seconds left, and the topic, escaped: a terminal obeys some of what a topic can be.
fn row(message: &RetainedMessage) -> String {
    let bytes = message.bytes().map_or(0, |bytes| bytes.len());
    let left = message
        .expiry_secs
        .map_or_else(|| "-".to_owned(), |secs| format!("{secs} s"));
    format!(
        "qos {}  {bytes:>9} bytes  expires {left:>9}  {}",
        message.qos,
        message.topic.escape_debug()
    )
}

fn delete(data: &Path, filter: &str, dry_run: bool, json: bool) -> Result<(), Failure> {
    let mut count = 0;
    if dry_run {
        each(data, filter, |_| {
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
    } else if let Body::RetainedDeleted(deleted) = ask(
        data,
        Operation::DeleteRetained {
            filter: filter.to_owned(),
        },
    )? {
        count = deleted;
    }
    let text = match (json, dry_run) {
        (true, _) => format!(
            "{{\"deleted\":{},\"matched\":{count}}}",
            if dry_run { 0 } else { count }
        ),
        (false, true) => format!("{count} retained messages would be deleted"),
        (false, false) => format!("{count} retained messages deleted"),
    };
    writeln!(io::stdout(), "{text}")
        .or_else(ended)
        .map_err(|error| unwritable(&error))
}

fn export(data: &Path, filter: &str, output: Option<&Path>) -> Result<(), Failure> {
    let into: Box<dyn Write> = match output {
        None => Box::new(io::stdout().lock()),
        Some(path) => Box::new(File::create_new(path).map_err(|error| {
            let message = format!(
                "{} cannot be written: {error}\n  help: name a file that is not there yet",
                path.display()
            );
            Failure::new(Status::Usage, message)
        })?),
    };
    let mut into = BufWriter::new(into);
    let mut count = 0_u64;
    each(data, filter, |message| {
        serde_json::to_writer(&mut into, &message)?;
        writeln!(into)?;
        count += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    into.flush()
        .or_else(ended)
        .map_err(|error| unwritable(&error))?;
    if output.is_some() {
        note(&format!("{count} retained messages exported"));
    }
    Ok(())
}

fn import(data: &Path, file: &Path, json: bool) -> Result<(), Failure> {
    let shown = file.display();
    let source: Box<dyn BufRead> = if file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let open = File::open(file).map_err(|error| {
            Failure::new(Status::Usage, format!("{shown} cannot be read: {error}"))
        })?;
        Box::new(BufReader::new(open))
    };
    let before = refused_so_far(data)?;
    let (mut batch, mut bytes, mut count) = (Vec::new(), 0, 0_u64);
    for (number, line) in (1_u64..).zip(source.lines()) {
        let wrong = |error: &dyn std::fmt::Display| {
            let message = format!(
                "{shown}:{number}: {error}\n  help: the {count} messages before this part are imported; mend the line and import again"
            );
            Failure::new(Status::Usage, message)
        };
        let line = line.map_err(|error| wrong(&error))?;
        if line.trim().is_empty() {
            continue;
        }
        let message: RetainedMessage =
            serde_json::from_str(&line).map_err(|error| wrong(&error))?;
        message.publish().map_err(|error| wrong(&error))?;
        if bytes > 0 && bytes + line.len() > IMPORT_BYTES {
            count += send(data, &mut batch)?;
            bytes = 0;
        }
        bytes += line.len();
        batch.push(message);
    }
    count += send(data, &mut batch)?;
    wait_for_store(data)?;
    let refused = refused_so_far(data)?.saturating_sub(before);
    let count = count.saturating_sub(refused);
    let text = if json {
        format!("{{\"imported\":{count},\"refused\":{refused}}}")
    } else {
        format!("{count} retained messages imported")
    };
    writeln!(io::stdout(), "{text}")
        .or_else(ended)
        .map_err(|error| unwritable(&error))?;
    if refused > 0 {
        let message = format!(
            "{refused} retained messages found no room\n  help: raise `max_retained_messages` or `max_retained_bytes` in [limits], or delete some"
        );
        return Err(Failure::new(Status::Failed, message));
    }
    Ok(())
}

fn send(data: &Path, batch: &mut Vec<RetainedMessage>) -> Result<u64, Failure> {
    if batch.is_empty() {
        return Ok(0);
    }
    let messages = std::mem::take(batch);
    match ask(data, Operation::ImportRetained { messages })? {
        Body::RetainedImported(count) => Ok(count),
        _ => Err(Failure::new(
            Status::Failed,
            "the broker gave an answer to something else",
        )),
    }
}

/// Retained messages that found no room since the broker's start, whoever published them.
fn refused_so_far(data: &Path) -> Result<u64, Failure> {
    figure(data, "dropped_retained_full")
}

/// Whether a message finds room shows when it has been stored. A broker whose store is busy with other things for long is
/// not waited for: what it refuses after that is in its figures and not in the answer.
fn wait_for_store(data: &Path) -> Result<(), Failure> {
    let patience = Instant::now() + STORE_PATIENCE;
    while figure(data, "store_waiting")? > 0 && Instant::now() < patience {
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn figure(data: &Path, name: &str) -> Result<u64, Failure> {
    match ask(data, Operation::Status)? {
        Body::Status(status) => Ok(status.stats.get(name).copied().unwrap_or(0)),
        _ => Ok(0),
    }
}

fn ended(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Ok(())
    } else {
        Err(error)
    }
}

fn unwritable(error: &io::Error) -> Failure {
    Failure::new(
        Status::Failed,
        format!("the output cannot be written: {error}"),
    )
}

fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
