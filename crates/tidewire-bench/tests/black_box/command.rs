//! The program as a person meets it: output, JSON and exit codes.

use std::process::{Command, Output};

use crate::fake_broker::{FakeBroker, Misdeed};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidewire-bench"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn run_against(misdeed: Misdeed, more: &[&str]) -> Output {
    let broker = FakeBroker::start(misdeed);
    let addr = broker.addr.to_string();
    let few = [
        "--pairs", "2", "--window", "10", "--secs", "0.03", "--stall", "0.3",
    ];
    bench(
        &[
            &["run", "--addr", &addr, "--scenario", "1to1-batch"],
            &few[..],
            more,
        ]
        .concat(),
    )
}

#[test]
fn a_clean_run_exits_with_0_and_says_so() {
    let output = run_against(Misdeed::Nothing, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).starts_with("1to1-batch: clean, "),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_void_run_exits_with_1_and_gives_no_figure() {
    let pid = std::process::id().to_string();
    let output = run_against(Misdeed::Lose(13), &["--pid", &pid]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("VOID (1 lost)"),
        "{}",
        stdout(&output)
    );
    assert!(
        !stdout(&output).contains("broker CPU"),
        "{}",
        stdout(&output)
    );
}

#[cfg(target_os = "linux")]
#[test]
fn json_holds_the_figures() {
    let pid = std::process::id().to_string();
    let output = run_against(
        Misdeed::Nothing,
        &["--pid", &pid, "--json", "--qos", "1", "--mqtt", "5"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &report["runs"][0];
    assert_eq!(run["plan"]["flow"]["qos"], "1");
    assert_eq!(run["plan"]["flow"]["version"], "5");
    assert_eq!(run["faults"]["lost"], 0);
    assert!(run["cpu_us_per_unit"].as_f64().unwrap() > 0.0);
    assert!(report["machine"]["cores"].as_u64().unwrap() > 0);
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_exists() {
    let unknown = bench(&["run", "--scenario", "nonsense"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        stderr(&unknown).contains("1to1-batch"),
        "{}",
        stderr(&unknown)
    );
    let uneven = bench(&["run", "--scenario", "1to1-batch", "--publishers", "3"]);
    assert_eq!(uneven.status.code(), Some(2));
    assert!(
        stderr(&uneven).contains("as many publishers as subscribers"),
        "{}",
        stderr(&uneven)
    );
    let peer = bench(&["compare", "--b", "mosquitto=/nowhere/mosquitto"]);
    assert_eq!(peer.status.code(), Some(2));
}

#[test]
fn nobody_listening_exits_with_2() {
    let output = bench(&["run", "--addr", "127.0.0.1:1", "--scenario", "1to1-batch"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("connecting to 127.0.0.1:1"),
        "{}",
        stderr(&output)
    );
}

#[cfg(target_os = "linux")]
#[test]
fn compare_alternates_and_prints_a_ratio_and_leaves_nothing_running() {
    let json = std::env::temp_dir().join(format!(
        "tidewire-bench-compare-{}.json",
        std::process::id()
    ));
    let path = json.to_string_lossy();
    let timing = [
        "--secs",
        "0.05",
        "--rounds",
        "2",
        "--no-fetch",
        "--json",
        &path,
    ];
    let output = bench(
        &[
            &[
                "compare",
                "--a",
                "raw",
                "--b",
                "raw",
                "--scenarios",
                "1to1-batch",
            ],
            &timing[..],
        ]
        .concat(),
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 4, "{}", stderr(&output));
    assert!(
        stdout(&output).contains("| 1to1-batch"),
        "{}",
        stdout(&output)
    );
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    std::fs::remove_file(&json).unwrap();
    let columns = report["rows"][0]["columns"].as_array().unwrap();
    assert!(
        columns
            .iter()
            .all(|column| column["runs"].as_array().unwrap().len() == 2)
    );
    assert!(!some_process_forwards(), "a forwarder is still running");
}

/// Whether a process that this program started as `raw` on a port of its choice is alive.
#[cfg(target_os = "linux")]
fn some_process_forwards() -> bool {
    let program = env!("CARGO_BIN_EXE_tidewire-bench");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .map(|entry| entry.path().join("cmdline"))
        .any(|path| {
            let line = std::fs::read_to_string(path).unwrap_or_default();
            line.starts_with(program) && line.contains("\0raw\0")
        })
}
