//! A password as a file keeps it: salted and hashed, in one of the three forms of mosquitto's password files.
//!
//! | form | what it is |
//! |---|---|
//! | `$argon2id$v=19$m=..,t=..,p=..$salt$hash` | Argon2id; what we write |
//! | `$7$iterations$salt$hash` | PBKDF2 with HMAC-SHA-512 |
//! | `$6$salt$hash` | SHA-512 of password and salt, once: read, and better rewritten |

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha512};
use std::fmt;
use subtle::ConstantTimeEq as _;

/// Bytes of a salt that we make.
const SALT_BYTES: usize = 16;
/// Bytes of an Argon2id hash that we make.
const ARGON2_HASH_BYTES: usize = 32;
/// Bytes of a SHA-512 hash, of the other two forms.
const SHA512_BYTES: usize = 64;
/// Rounds of a PBKDF2 record that we make: as many as OWASP's advice of 2023 for HMAC-SHA-512.
const PBKDF2_ROUNDS: u32 = 210_000;
/// More memory than this for one password is a mistake in the file: 1 GiB.
const ARGON2_MEMORY_MAX_KIB: u32 = 1024 * 1024;

/// A hashed password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordRecord {
    form: Form,
    salt: Box<[u8]>,
    hash: Box<[u8]>,
}

/// How a password is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum HashAlgorithm {
    /// Argon2id with 19 MiB and two passes.
    #[default]
    Argon2id,
    /// PBKDF2 with HMAC-SHA-512, for files that an older mosquitto reads, too.
    Sha512Pbkdf2,
    /// SHA-512 once. Weak: a stolen file is soon guessed.
    Sha512,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Form {
    Argon2id(Params),
    Pbkdf2 { rounds: u32 },
    Sha512,
}

/// Why a text is no password record, or none could be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordError {
    /// It begins with none of `$argon2id$`, `$7$` and `$6$`: a password in plain text, perhaps.
    UnknownForm,
    /// It lacks parts, or has too many.
    Parts,
    /// A part is no Base64, or of a wrong length.
    Encoding,
    /// Its numbers are out of range.
    Parameters,
    /// The operating system gave no random salt.
    Random,
}

impl PasswordRecord {
    /// Hashes a password with a fresh salt.
    ///
    /// # Errors
    /// [`RecordError::Random`].
    pub fn make(algorithm: HashAlgorithm, password: &[u8]) -> Result<Self, RecordError> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|_| RecordError::Random)?;
        let (form, length) = match algorithm {
            HashAlgorithm::Argon2id => (Form::Argon2id(Params::default()), ARGON2_HASH_BYTES),
            HashAlgorithm::Sha512Pbkdf2 => (
                Form::Pbkdf2 {
                    rounds: PBKDF2_ROUNDS,
                },
                SHA512_BYTES,
            ),
            HashAlgorithm::Sha512 => (Form::Sha512, SHA512_BYTES),
        };
        let mut record = Self {
            form,
            salt: salt.into(),
            hash: vec![0; length].into(),
        };
        record.hash = record.hash_of(password).ok_or(RecordError::Parameters)?;
        Ok(record)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let parts: Vec<&str> = text.split('$').collect();
        match parts[..] {
            ["", "argon2id", version, parameters, salt, hash] => {
                if version != "v=19" {
                    return Err(RecordError::Parameters);
                }
                Ok(Self {
                    form: Form::Argon2id(argon2_params(parameters)?),
                    salt: decode(salt)?,
                    hash: decode(hash)?,
                })
            }
            ["", "7", rounds, salt, hash] => {
                let rounds = rounds.parse().map_err(|_| RecordError::Parameters)?;
                if rounds == 0 {
                    return Err(RecordError::Parameters);
                }
                Self::with_sha512(Form::Pbkdf2 { rounds }, salt, hash)
            }
            ["", "6", salt, hash] => Self::with_sha512(Form::Sha512, salt, hash),
            ["", "argon2id" | "7" | "6", ..] => Err(RecordError::Parts),
            _ => Err(RecordError::UnknownForm),
        }
    }

    /// Whether this is the password. Takes as long for a wrong one as for the right one, and much processor time: not for
    /// a thread that others wait for.
    #[must_use]
    pub fn matches(&self, password: &[u8]) -> bool {
        let hash = self.hash_of(password);
        hash.is_some_and(|hash| hash.ct_eq(&self.hash).into())
    }

    /// Orders records by how long their check takes, roughly.
    pub(crate) fn cost(&self) -> u64 {
        match &self.form {
            // A round of PBKDF2 is two hashes of a block; Argon2 takes about as long for each KiB and pass.
            Form::Argon2id(params) => u64::from(params.m_cost()) * u64::from(params.t_cost()) * 2,
            Form::Pbkdf2 { rounds } => u64::from(*rounds),
            Form::Sha512 => 1,
        }
    }

    fn with_sha512(form: Form, salt: &str, hash: &str) -> Result<Self, RecordError> {
        let (salt, hash) = (decode(salt)?, decode(hash)?);
        if hash.len() != SHA512_BYTES {
            return Err(RecordError::Encoding);
        }
        Ok(Self { form, salt, hash })
    }

    fn hash_of(&self, password: &[u8]) -> Option<Box<[u8]>> {
        let mut hash = vec![0; self.hash.len()];
        match &self.form {
            Form::Argon2id(params) => {
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
                let hashed = argon2.hash_password_into(password, &self.salt, &mut hash);
                hashed.ok()?;
            }
            Form::Pbkdf2 { rounds } => {
                pbkdf2::pbkdf2_hmac::<Sha512>(password, &self.salt, *rounds, &mut hash);
            }
            Form::Sha512 => {
                let digest = Sha512::new().chain_update(password);
                hash.copy_from_slice(&digest.chain_update(&self.salt).finalize());
            }
        }
        Some(hash.into())
    }
}

fn argon2_params(text: &str) -> Result<Params, RecordError> {
    let mut numbers = [None; 3];
    for part in text.split(',') {
        let (name, number) = part.split_once('=').ok_or(RecordError::Parameters)?;
        let place = ["m", "t", "p"].iter().position(|known| *known == name);
        let place = place.ok_or(RecordError::Parameters)?;
        numbers[place] = number.parse().ok();
    }
    let [Some(memory_kib), Some(passes), Some(lanes)] = numbers else {
        return Err(RecordError::Parameters);
    };
    if memory_kib > ARGON2_MEMORY_MAX_KIB {
        return Err(RecordError::Parameters);
    }
    Params::new(memory_kib, passes, lanes, None).map_err(|_| RecordError::Parameters)
}

/// With or without padding: the forms differ in it.
fn decode(text: &str) -> Result<Box<[u8]>, RecordError> {
    let bytes = STANDARD_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| RecordError::Encoding)?;
    if bytes.is_empty() {
        return Err(RecordError::Encoding);
    }
    Ok(bytes.into())
}

/// As a file has it.
impl fmt::Display for PasswordRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (salt, hash) = (&self.salt, &self.hash);
        match &self.form {
            Form::Argon2id(params) => write!(
                f,
                "$argon2id$v=19$m={},t={},p={}${}${}",
                params.m_cost(),
                params.t_cost(),
                params.p_cost(),
                STANDARD_NO_PAD.encode(salt),
                STANDARD_NO_PAD.encode(hash)
            ),
            Form::Pbkdf2 { rounds } => write!(
                f,
                "$7${rounds}${}${}",
                STANDARD.encode(salt),
                STANDARD.encode(hash)
            ),
            Form::Sha512 => write!(f, "$6${}${}", STANDARD.encode(salt), STANDARD.encode(hash)),
        }
    }
}

/// Neither salt nor hash.
impl fmt::Debug for PasswordRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordRecord")
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownForm => {
                "it is no hashed password; `tidewire passwd -U FILE` hashes a file of plain ones"
            }
            Self::Parts => "the hashed password is cut off or has too many parts",
            Self::Encoding => {
                "the hashed password is damaged: its salt or hash is no Base64 of the right length"
            }
            Self::Parameters => "the numbers of the hashed password are out of range",
            Self::Random => "the operating system gave no random salt",
        })
    }
}

impl std::error::Error for RecordError {}

#[cfg(test)]
mod tests {
    use super::{HashAlgorithm, PasswordRecord, RecordError};

    /// Made with Debian's mosquitto_passwd 2.0.11: `mosquitto_passwd -H sha512|sha512-pbkdf2 -c -b FILE alice secret`. The
    /// Argon2id record is of the reference implementation's command line:
    /// `printf secret | argon2 somesaltsomesalt -id -t 2 -k 19456 -p 1 -l 32 -e`.
    const MADE_ELSEWHERE: [&str; 3] = [
        "$6$VgSAb2AhUOyC+ZxV$0l1fRII2a2AlnZN20gbXpN/TR3wDw8qHbLduhi1NYyDCk3kIYW/l45IJftteBDF2zWBio4s3g6WGaClLiyx2Bw==",
        "$7$101$GVfya+QsNuBqhfgu$fzcSAxdJiidb8D7A78S3ukhId9V52tOX2OyZku4whzLuwEpBXjzSAme5gle04OZOnn0EO/kphrg9lEANlmoMPA==",
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$14ukWqiThj4Xz77NYv01V28GbBZHY9AaZwsFswQFO0U",
    ];

    #[test]
    fn records_of_other_programs_know_their_password_and_no_other() {
        for text in MADE_ELSEWHERE {
            let record = PasswordRecord::parse(text).unwrap();
            assert!(record.matches(b"secret"), "{text}");
            for wrong in [&b"Secret"[..], b"secret ", b"secre", b""] {
                assert!(!record.matches(wrong), "{text}");
            }
            assert_eq!(record.to_string(), text);
        }
    }

    #[test]
    fn a_record_that_was_made_and_written_knows_its_password() {
        for algorithm in [
            HashAlgorithm::Argon2id,
            HashAlgorithm::Sha512Pbkdf2,
            HashAlgorithm::Sha512,
        ] {
            let record = PasswordRecord::make(algorithm, b"secret").unwrap();
            let other = PasswordRecord::make(algorithm, b"secret").unwrap();
            assert_ne!(
                record.to_string(),
                other.to_string(),
                "each has its own salt"
            );
            let read = PasswordRecord::parse(&record.to_string()).unwrap();
            assert!(read.matches(b"secret") && !read.matches(b"other"));
            assert!(!format!("{record:?}").contains("hash"));
        }
    }

    #[test]
    fn what_is_no_record_is_refused_with_its_fault() {
        let table = [
            ("secret", RecordError::UnknownForm),
            ("", RecordError::UnknownForm),
            ("$5$abc$def", RecordError::UnknownForm),
            ("$6$AAAA", RecordError::Parts),
            ("$7$101$AAAA", RecordError::Parts),
            ("$6$AAAA$AAAA", RecordError::Encoding),
            ("$6$!$AAAA", RecordError::Encoding),
            ("$7$0$AAAA$AAAA", RecordError::Parameters),
            ("$7$many$AAAA$AAAA", RecordError::Parameters),
            (
                "$argon2id$v=16$m=19456,t=2,p=1$AAAAAAAAAAA$AAAA",
                RecordError::Parameters,
            ),
            (
                "$argon2id$v=19$m=9999999,t=2,p=1$AAAAAAAAAAA$AAAA",
                RecordError::Parameters,
            ),
            (
                "$argon2id$v=19$m=19456,t=2$AAAAAAAAAAA$AAAA",
                RecordError::Parameters,
            ),
        ];
        for (text, error) in table {
            assert_eq!(PasswordRecord::parse(text), Err(error), "{text}");
        }
    }
}
