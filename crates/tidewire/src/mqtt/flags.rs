//! The flags of `pub`, `sub` and `rr`: one table that parsing, help, completions and man pages are made from.
//!
//! They are mosquitto's, which take no `=`, are never joined (`-rv`), and whose values may begin with a dash. So they
//! are read here and not by clap.

use super::Failure;

/// One of the three programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    /// Publishes.
    Pub,
    /// Subscribes.
    Sub,
    /// Publishes a request and waits for the answer.
    Rr,
}

impl Tool {
    /// The subcommand's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pub => "pub",
            Self::Sub => "sub",
            Self::Rr => "rr",
        }
    }

    /// The tool that a program's file name stands for: `mosquitto_pub`, `tidewire_pub`, ...
    pub(crate) fn of_program(name: &str) -> Option<Self> {
        match name {
            "mosquitto_pub" | "tidewire_pub" => Some(Self::Pub),
            "mosquitto_sub" | "tidewire_sub" => Some(Self::Sub),
            "mosquitto_rr" | "tidewire_rr" => Some(Self::Rr),
            _ => None,
        }
    }
}

/// One flag.
pub(crate) struct Flag {
    /// Its short form.
    pub(crate) short: Option<char>,
    /// Its long form; flags that mosquitto has only in short form have none, and are known by this name.
    pub(crate) name: &'static str,
    /// Whether `--name` may be written.
    pub(crate) is_long: bool,
    /// What follows it.
    pub(crate) value: Value,
    /// Which tools have it: letters of `psr`.
    tools: &'static str,
    /// A sentence for people.
    pub(crate) help: &'static str,
}

/// What follows a flag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    /// Nothing.
    None,
    /// One value; this is what it is called.
    One(&'static str),
    /// Command, property and value, and for a user property a second value.
    Property,
}

impl Flag {
    /// Whether the tool has it.
    pub(crate) fn is_of(&self, tool: Tool) -> bool {
        let letter = match tool {
            Tool::Pub => 'p',
            Tool::Sub => 's',
            Tool::Rr => 'r',
        };
        self.tools.contains(letter)
    }

    fn is_called(&self, argument: &str) -> bool {
        if let Some(long) = argument.strip_prefix("--") {
            return self.is_long && long == self.name;
        }
        let mut letters = argument.chars();
        letters.next() == Some('-') && letters.next() == self.short && letters.next().is_none()
    }
}

const fn both(
    short: char,
    name: &'static str,
    value: Value,
    tools: &'static str,
    help: &'static str,
) -> Flag {
    Flag {
        short: Some(short),
        name,
        is_long: true,
        value,
        tools,
        help,
    }
}

const fn short(
    short: char,
    name: &'static str,
    value: Value,
    tools: &'static str,
    help: &'static str,
) -> Flag {
    Flag {
        short: Some(short),
        name,
        is_long: false,
        value,
        tools,
        help,
    }
}

const fn long(name: &'static str, value: Value, tools: &'static str, help: &'static str) -> Flag {
    Flag {
        short: None,
        name,
        is_long: true,
        value,
        tools,
        help,
    }
}

const NONE: Value = Value::None;
const fn one(name: &'static str) -> Value {
    Value::One(name)
}

/// All flags.
#[rustfmt::skip]
pub(crate) const FLAGS: &[Flag] = &[
    // The server and the connection.
    both('h', "host", one("HOST"), "psr", "The server's name or address [default: localhost]"),
    both('p', "port", one("PORT"), "psr", "Its port [default: 1883, with TLS 8883]"),
    long("unix", one("PATH"), "psr", "Connect to a Unix socket"),
    both('L', "url", one("URL"), "psr", "Server, user and topic in one: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC; ws[s]://HOST[:PORT]/PATH names no topic"),
    both('V', "protocol-version", one("VERSION"), "psr", "mqttv5 (5), mqttv311 (311) or mqttv31 (31) [default: mqttv311, rr: mqttv5]"),
    both('i', "id", one("ID"), "psr", "The client identifier"),
    both('I', "id-prefix", one("PREFIX"), "psr", "A client identifier of this and the process id"),
    both('c', "disable-clean-session", NONE, "psr", "Go on with the session that the server has, and have it kept"),
    both('x', "session-expiry-interval", one("SECS"), "psr", "How long the server keeps the session; -1 = without end (MQTT 5.0)"),
    both('k', "keepalive", one("SECS"), "psr", "Keep-alive, 5 to 65535 [default: 60]"),
    both('u', "username", one("NAME"), "psr", "User name"),
    both('P', "pw", one("PASSWORD"), "psr", "Password, which other users of this machine may see"),
    short('A', "bind", one("ADDRESS"), "psr", "The own address to connect from"),
    long("nodelay", NONE, "psr", "Accepted; small packets never wait for company"),
    long("proxy", one("URL"), "psr", "socks5h://[USER:PASSWORD@]HOST[:PORT] or http://[USER:PASSWORD@]HOST[:PORT]"),
    both('D', "property", Value::Property, "psr", "A property of MQTT 5.0: command (connect, publish, subscribe, unsubscribe, disconnect, will), name, value"),
    both('q', "qos", one("QOS"), "psr", "Quality of service, 0 to 2 [default: 0]"),
    long("will-topic", one("TOPIC"), "psr", "The will's topic"),
    long("will-payload", one("TEXT"), "psr", "The will's payload"),
    long("will-qos", one("QOS"), "psr", "The will's quality of service"),
    long("will-retain", NONE, "psr", "The will is to be retained"),
    // TLS.
    long("cafile", one("FILE"), "psr", "Use TLS and trust the certificates in this PEM file"),
    long("capath", one("DIR"), "psr", "Use TLS and trust the certificates in this folder"),
    long("tls-use-os-certs", NONE, "psr", "Use TLS and trust the certificates of the operating system"),
    long("cert", one("FILE"), "psr", "The client's certificate (PEM), or both it and its key in one file (PEM or PKCS#12)"),
    long("key", one("FILE"), "psr", "The client's private key (PEM)"),
    long("key-password", one("PASSWORD"), "psr", "The password of an encrypted key or of a PKCS#12 file"),
    long("insecure", NONE, "psr", "Do not check that the server's certificate has its name"),
    long("allow-self-signed", NONE, "psr", "Believe a certificate that is signed with its own key, too"),
    long("pin", one("SHA256"), "psr", "Believe only the certificate with this SHA-256 fingerprint (hexadecimal)"),
    long("server-name", one("NAME"), "psr", "The name that the server's certificate must have, in place of the host"),
    long("tls-alpn", one("PROTOCOL"), "psr", "The protocol to offer by ALPN"),
    long("tls-version", one("VERSION"), "psr", "tlsv1.2 or tlsv1.3 at least; 1.2 is the oldest that there is here"),
    long("ciphers", one("LIST"), "psr", "Refused: the cipher suites are fixed to those that are safe"),
    long("keyform", one("FORM"), "psr", "Accepted as pem"),
    long("tls-engine", one("ENGINE"), "psr", "Refused: there are no OpenSSL engines here"),
    long("tls-engine-kpass-sha1", one("SHA1"), "psr", "Refused: there are no OpenSSL engines here"),
    long("psk", one("KEY"), "psr", "Refused: there is no TLS with pre-shared keys here"),
    long("psk-identity", one("NAME"), "psr", "Refused: there is no TLS with pre-shared keys here"),
    // What is published.
    both('t', "topic", one("TOPIC"), "psr", "The topic; `sub` takes filters, and several"),
    both('m', "message", one("TEXT"), "pr", "The payload"),
    both('f', "file", one("FILE"), "pr", "A file is the payload"),
    both('s', "stdin-file", NONE, "pr", "Standard input as a whole is the payload"),
    both('l', "stdin-line", NONE, "pr", "Each line of standard input is a payload"),
    both('n', "null-message", NONE, "pr", "An empty payload"),
    both('r', "retain", NONE, "p", "The message is to be retained"),
    short('M', "max-inflight", one("N"), "p", "Unacknowledged messages at once"),
    long("repeat", one("N"), "p", "Publish N times"),
    long("repeat-delay", one("SECS"), "p", "Time between them"),
    long("rate", one("N"), "p", "At most N messages a second: of -l, --repeat, --replay"),
    long("outbox", one("DIR"), "p", "Keep messages in this folder until they are delivered, across restarts and without a connection; without a message, deliver what is there"),
    long("replay", one("FILE"), "p", "Publish what `sub --json` has written to FILE (- = standard input), at the pace at which it came, or at --rate"),
    short('e', "response-topic", one("TOPIC"), "r", "Where the answer comes"),
    // What is received.
    short('C', "count", one("N"), "s", "End after N messages"),
    short('W', "timeout", one("SECS"), "sr", "End after this time, with exit code 27"),
    short('E', "exit-when-subscribed", NONE, "s", "End as soon as the server has answered all subscriptions"),
    short('F', "format", one("FORMAT"), "sr", "How to print: %t topic, %p payload, %x hex, %j JSON, ..."),
    short('N', "no-newline", NONE, "sr", "No end of line behind a message"),
    short('R', "no-retained", NONE, "sr", "Do not print retained messages"),
    both('v', "verbose", NONE, "sr", "Print the topic before the payload"),
    both('T', "filter-out", one("FILTER"), "s", "Do not print messages of these topics; repeats"),
    both('U', "unsubscribe", one("FILTER"), "s", "Unsubscribe; repeats"),
    long("pretty", NONE, "sr", "Break JSON into lines"),
    long("retained-only", NONE, "s", "End at the first message that is not retained"),
    long("remove-retained", NONE, "s", "Delete the retained messages that come"),
    long("retain-as-published", NONE, "s", "Have the retain flag as the publisher set it (MQTT 5.0)"),
    long("random-filter", one("PERCENT"), "s", "Print only so many of a hundred messages"),
    long("json", NONE, "sr", "Print a JSON object a line, which --replay reads"),
    long("payload-format", one("FORMAT"), "psr", "text, hex, base64 or json: how payloads are printed, or how those to publish are written"),
    // The rest.
    both('d', "debug", NONE, "psr", "Tell on standard error what happens to the connection"),
    long("quiet", NONE, "psr", "No error texts"),
    long("help", NONE, "psr", "This text"),
    long("version", NONE, "psr", "The version"),
];

/// A flag that was given, and its values.
pub(crate) struct Given {
    /// The flag's name.
    pub(crate) name: &'static str,
    /// As many as it takes.
    pub(crate) values: Vec<String>,
}

/// Reads arguments in order.
///
/// # Errors
/// An argument that is no flag of the tool, or a flag without its value.
pub(crate) fn parse(
    tool: Tool,
    arguments: impl Iterator<Item = String>,
) -> Result<Vec<Given>, Failure> {
    let mut arguments = arguments;
    let mut given = Vec::new();
    while let Some(argument) = arguments.next() {
        let found = FLAGS
            .iter()
            .find(|flag| flag.is_of(tool) && flag.is_called(&argument));
        let Some(flag) = found else {
            return Err(unknown(tool, &argument));
        };
        let mut values = Vec::new();
        let mut next = |what: &str| {
            arguments
                .next()
                .ok_or_else(|| Failure::usage(format!("{argument} must be followed by {what}")))
        };
        match flag.value {
            Value::None => {}
            Value::One(what) => values.push(next(what)?),
            Value::Property => {
                values.push(next("a command, such as publish")?);
                values.push(next("a command and the name of a property")?);
                values.push(next("a command, a property and its value")?);
                if values[1] == "user-property" {
                    values.push(next("a command, user-property, a name and a value")?);
                }
            }
        }
        let name = flag.name;
        given.push(Given { name, values });
    }
    Ok(given)
}

fn unknown(tool: Tool, argument: &str) -> Failure {
    let near = FLAGS
        .iter()
        .filter(|flag| flag.is_of(tool) && flag.is_long)
        .map(|flag| {
            (
                strsim::damerau_levenshtein(argument, &format!("--{}", flag.name)),
                flag.name,
            )
        })
        .min();
    let hint = match near {
        Some((distance, name)) if distance <= 2 => format!("; is --{name} meant?"),
        _ => String::new(),
    };
    let tool = tool.name();
    Failure::usage(format!(
        "`{argument}` is no flag of {tool}{hint} `tidewire {tool} --help` lists them"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(tool: Tool, line: &str) -> Result<Vec<(&'static str, Vec<String>)>, String> {
        parse(tool, line.split(' ').map(str::to_owned))
            .map(|given| given.into_iter().map(|g| (g.name, g.values)).collect())
            .map_err(|failure| failure.message)
    }

    #[test]
    fn values_may_begin_with_a_dash() {
        let given = parsed(Tool::Pub, "-m -m --retain").expect("right");
        assert_eq!(given[0], ("message", vec!["-m".to_owned()]));
        assert_eq!(given[1].0, "retain");
    }

    #[test]
    fn user_property_takes_a_name_and_a_value() {
        let given = parsed(Tool::Pub, "-D publish user-property k v -n").expect("right");
        assert_eq!(given[0].1, ["publish", "user-property", "k", "v"]);
        assert_eq!(given[1].0, "null-message");
    }

    #[test]
    fn flag_of_another_tool_and_missing_value_are_told() {
        assert!(parsed(Tool::Sub, "-m x").is_err());
        assert!(parsed(Tool::Sub, "-t").is_err());
        let text = parsed(Tool::Sub, "--qso 1").expect_err("no flag");
        assert!(text.contains("--qos"), "{text}");
    }

    #[test]
    fn no_two_flags_of_a_tool_share_a_name() {
        for tool in [Tool::Pub, Tool::Sub, Tool::Rr] {
            let mut names: Vec<String> = Vec::new();
            for flag in FLAGS.iter().filter(|flag| flag.is_of(tool)) {
                names.push(flag.name.to_owned());
                names.extend(flag.short.map(String::from));
            }
            let all = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), all, "{tool:?}");
        }
    }
}
