//! What an idle connection costs on each transport.

use crate::peer::{House, WAYS, connect_packet, exchange};

const CONNACK: &[u8] = b"\x20\x02\x00\x00";
/// Connections per measurement; the process has both of their ends.
const CONNECTIONS: usize = 400;

/// Resident memory of this process in bytes.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Prints bytes per idle connection, the client's side included; run by hand, in a release build, on an idle machine.
#[test]
#[ignore = "a measurement, not a claim"]
fn bytes_per_idle_connection() {
    for way in WAYS {
        let house = House::new();
        // What is allocated once is paid before.
        let mut held: Vec<_> = (0..50).map(|_| house.connect(way)).collect();
        let before = resident_bytes();
        for number in 0..CONNECTIONS {
            let mut client = house.connect(way);
            exchange(&mut *client, &connect_packet(&number.to_string()), CONNACK);
            held.push(client);
        }
        let bytes = (resident_bytes().saturating_sub(before)) / CONNECTIONS;
        println!("{way}: {bytes} bytes, both ends");
    }
}
