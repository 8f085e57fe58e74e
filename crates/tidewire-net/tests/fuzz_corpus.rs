//! Replays what the fuzz targets for TLS, WebSocket and the PROXY protocol have learned, and some thousand inputs more.

#[path = "../../../fuzz/checks/ways.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets are crates of their own")]
mod checks;

use std::path::Path;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let entries = std::fs::read_dir(folder.join(name)).unwrap();
    let read = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read(entry.unwrap().path());
    let inputs: Vec<_> = entries.map(|entry| read(entry).unwrap()).collect();
    assert!(!inputs.is_empty(), "{name}");
    inputs
}

/// Runs a check on each input, and on changed copies of it.
fn replay(name: &str, copies: usize, check: fn(&[u8])) {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize % below
    };
    for input in corpus(name) {
        check(&input);
        for _ in 0..copies {
            let mut copy = input.clone();
            for _ in 0..=next(4) {
                let at = next(copy.len());
                match next(3) {
                    0 => copy[at] ^= 1 << next(8),
                    1 => copy[at] = next(256) as u8,
                    _ => copy.insert(at, next(256) as u8),
                }
            }
            check(&copy);
        }
    }
}

#[test]
fn no_steps_of_a_tls_client_make_the_library_panic() {
    replay("tls", 25, checks::tls);
}

#[test]
fn frames_and_proxy_headers_mean_the_same_in_any_pieces() {
    replay("web_socket", 1000, checks::web_socket);
}
