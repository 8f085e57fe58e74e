//! `tidewire passwd`: writes password files, with the flags of mosquitto_passwd.

use crate::cli::{HashFlag, Passwd};
use crate::exit::{Failure, Status};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;
use tidewire_broker::handlers::{HashAlgorithm, PasswordRecord};

/// Secrets are for their owner.
const NEW_FILE_MODE: u32 = 0o600;

/// Runs the command.
pub(crate) fn run(passwd: &Passwd) -> Result<(), Failure> {
    let path = passwd.file.as_path();
    let mut lines = if passwd.create {
        Vec::new()
    } else {
        read_lines(path)?
    };
    match &passwd.username {
        None => hash_all(&mut lines, algorithm(passwd.hash), path)?,
        Some(name) if passwd.delete => delete(&mut lines, name, path)?,
        Some(name) => {
            check_name(name)?;
            let password = match &passwd.password {
                Some(password) => password.clone(),
                None => ask_password()?,
            };
            set(
                &mut lines,
                name,
                &hashed(algorithm(passwd.hash), &password)?,
            );
        }
    }
    write_lines(path, &lines)
}

/// Every line that is neither empty nor a comment: a plain password is hashed, a hashed one stays.
fn hash_all(lines: &mut [String], algorithm: HashAlgorithm, path: &Path) -> Result<(), Failure> {
    for (number, line) in (1..).zip(lines) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, password)) = line.split_once(':') else {
            return Err(failed(format!(
                "{}:{number}: a line is a user name, `:` and a password; nothing was changed",
                path.display()
            )));
        };
        if PasswordRecord::parse(password).is_err() {
            *line = format!("{name}:{}", hashed(algorithm, password)?);
        }
    }
    Ok(())
}

fn delete(lines: &mut Vec<String>, name: &str, path: &Path) -> Result<(), Failure> {
    let before = lines.len();
    lines.retain(|line| !is_of(line, name));
    if lines.len() == before {
        return Err(failed(format!("{} has no user `{name}`", path.display())));
    }
    Ok(())
}

fn set(lines: &mut Vec<String>, name: &str, record: &PasswordRecord) {
    let new = format!("{name}:{record}");
    match lines.iter_mut().find(|line| is_of(line, name)) {
        Some(line) => *line = new,
        None => lines.push(new),
    }
}

fn is_of(line: &str, name: &str) -> bool {
    let behind = line.strip_prefix(name);
    behind.is_some_and(|behind| behind.starts_with(':'))
}

fn check_name(name: &str) -> Result<(), Failure> {
    let fault = if name.is_empty() {
        "is empty"
    } else if name.contains(':') {
        "contains `:`"
    } else if name.starts_with('#') {
        "begins with `#`, as comments do"
    } else if name.contains(char::is_control) {
        "contains control characters"
    } else {
        return Ok(());
    };
    Err(Failure::new(
        Status::Usage,
        format!("the user name {fault}"),
    ))
}

fn hashed(algorithm: HashAlgorithm, password: &str) -> Result<PasswordRecord, Failure> {
    PasswordRecord::make(algorithm, password.as_bytes())
        .map_err(|error| failed(format!("cannot hash: {error}")))
}

fn algorithm(flag: HashFlag) -> HashAlgorithm {
    match flag {
        HashFlag::Argon2id => HashAlgorithm::Argon2id,
        HashFlag::Sha512Pbkdf2 => HashAlgorithm::Sha512Pbkdf2,
        HashFlag::Sha512 => HashAlgorithm::Sha512,
    }
}

/// Twice from a terminal, without showing it; once from anything else.
fn ask_password() -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return read_line().map_err(|error| failed(format!("no password: {error}")));
    }
    let asked = prompt("Password: ").and_then(|first| Ok((first, prompt("Reenter password: ")?)));
    match asked {
        Ok((first, second)) if first == second => Ok(first),
        Ok(_) => Err(failed(
            "the passwords differ; nothing was changed".to_owned(),
        )),
        Err(error) => Err(failed(format!("no password: {error}"))),
    }
}

fn prompt(text: &str) -> io::Result<String> {
    let stdin = io::stdin();
    let shown = tcgetattr(&stdin)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    let mut terminal = io::stderr();
    terminal.write_all(text.as_bytes())?;
    tcsetattr(&stdin, OptionalActions::Now, &hidden)?;
    let line = read_line();
    tcsetattr(&stdin, OptionalActions::Now, &shown)?;
    terminal.write_all(b"\n")?;
    line
}

fn read_line() -> io::Result<String> {
    let mut line = String::new();
    if io::stdin().read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

fn read_lines(path: &Path) -> Result<Vec<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(failed(format!(
            "{} does not exist\n  help: add `-c` to begin a new file",
            path.display()
        ))),
        Err(error) => Err(failed(format!(
            "{} cannot be read: {error}",
            path.display()
        ))),
    }
}

/// Through a new file beside it: whoever reads meanwhile, or after a crash, finds the old one or the new one.
fn write_lines(path: &Path, lines: &[String]) -> Result<(), Failure> {
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = Path::new(&beside);
    let written = replace(path, beside, text.as_bytes());
    written.map_err(|error| {
        // What could not be finished is of no use to anybody.
        let _ = fs::remove_file(beside);
        failed(format!("{} cannot be written: {error}", path.display()))
    })
}

fn replace(path: &Path, beside: &Path, bytes: &[u8]) -> io::Result<()> {
    let before = fs::metadata(path).ok();
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(NEW_FILE_MODE)
        .open(beside)?;
    file.write_all(bytes)?;
    if let Some(before) = before {
        // A broker that runs as somebody else may own it, or read it through its group.
        fchown(&file, Some(before.uid()), Some(before.gid()))?;
        file.set_permissions(fs::Permissions::from_mode(before.permissions().mode()))?;
    }
    file.sync_all()?;
    fs::rename(beside, path)
}

fn failed(message: String) -> Failure {
    Failure::new(Status::Failed, message)
}
