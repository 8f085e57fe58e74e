//! Replays the corpora of the fuzz targets, and holds every row of the packet table against the same checks.

#[path = "../../../fuzz/checks/codec.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets are crates of their own")]
mod checks;

use std::fs;
use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is committed") {
        let path = entry.expect("readable").path();
        println!("{}", path.display());
        check(&fs::read(&path).expect("readable"));
        count += 1;
    }
    assert!(count >= 10, "{count} inputs in {}", folder.display());
}

#[test]
fn the_decoder_holds_on_its_corpus() {
    replay("decoder", checks::decoder);
}

#[test]
fn round_trips_hold_on_their_corpus() {
    replay("round_trip", checks::round_trip);
}

#[test]
fn the_topic_parsers_hold_on_their_corpus() {
    replay("topics", checks::topics);
}
