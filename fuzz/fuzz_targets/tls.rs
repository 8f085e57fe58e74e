#![no_main]

#[path = "../checks/ways.rs"]
#[allow(dead_code, reason = "each target calls one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::tls(input));
