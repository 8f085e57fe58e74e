//! Certificates by an old recipe: the twelve commands of the seed about Node and WebSocket, run as they stand there.

use crate::client_side::refusal_of;
use crate::material::{Material, seed};
use crate::support::run;

/// The folder that the recipe leaves behind, and a good one of ours in it.
fn cooked(test: &str) -> Option<Material> {
    let text = seed("003_", test)?;
    let material = Material::new();
    let mut commands = 0;
    for line in text.lines().map(str::trim) {
        let Some(arguments) = line.strip_prefix("openssl ") else {
            continue;
        };
        // The recipe answers questions by hand; names differ, as it advises.
        let subject = if arguments.starts_with("req ") {
            format!(" -subj /O={commands}/CN=localhost")
        } else {
            String::new()
        };
        // Ours are out of the way of the recipe's names.
        let arguments = arguments.replace("server.", "old-server.");
        let arguments = arguments.replace("client.", "old-client.");
        let arguments = arguments.replace("ca.", "old-ca.");
        let (fine, said) = material.openssl(&format!("{arguments}{subject}"));
        assert!(fine, "openssl {arguments}\n{said}");
        commands += 1;
    }
    assert_eq!(commands, 11, "the commands of the recipe");
    Some(material)
}

#[test]
fn the_recipes_files_are_refused_with_the_fault_and_the_command_that_mends_it() {
    let name = "the_recipes_files_are_refused_with_the_fault_and_the_command_that_mends_it";
    let Some(material) = cooked(name) else {
        return;
    };
    let ca = material.path("old-ca.crt");
    let trusting = format!("client_certificate = \"required\"\nclient_ca_file = \"{ca}\"\n");
    for (cert, key, more, command) in [
        ("old-server.crt", "old-server.key", "", "cert make-server"),
        ("server.pem", "server.key", &*trusting, "cert make-ca"),
    ] {
        let file = material.config(cert, key, more);
        let refused = run(&["serve", "--dev", "--config", &file]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        for word in ["listener `secure`", "RSA key of 1024 bits", command] {
            assert!(
                refused.stderr.contains(word),
                "{word} in {}",
                refused.stderr
            );
        }
    }
}

#[test]
fn a_client_of_the_recipe_is_refused_and_the_log_says_why() {
    let name = "a_client_of_the_recipe_is_refused_and_the_log_says_why";
    let Some(material) = cooked(name) else {
        return;
    };
    let ca = material.path("ca.pem");
    let broker = material.broker(&format!(
        "client_certificate = \"required\"\nclient_ca_file = \"{ca}\"\n"
    ));
    let port = broker.port();
    material.openssl(&format!(
        "s_client -connect 127.0.0.1:{port} -CAfile ca.pem -cipher DEFAULT@SECLEVEL=0 \
         -cert old-client.crt -key old-client.key"
    ));
    let line = broker.wait_for_log("refused before CONNECT");
    for word in ["RSA key of 1024 bits", "cert make-client"] {
        assert!(line.contains(word), "{word} in {line}");
    }
}

#[test]
fn a_server_of_the_recipe_is_refused_by_our_client_which_says_why() {
    let name = "a_server_of_the_recipe_is_refused_by_our_client_which_says_why";
    let Some(material) = cooked(name) else {
        return;
    };
    let said = refusal_of(&material, "old-server.crt", "old-server.key", "old-ca.crt");
    for word in ["version 1", "cert make-ca", "cert make-server"] {
        assert!(said.contains(word), "{word} in {said}");
    }
}
