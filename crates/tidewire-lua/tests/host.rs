//! What a host does for the scripts that keep to the rules.

use std::sync::{Arc, Mutex};
use tidewire_lua::mlua::{LuaString, MultiValue, Value};
use tidewire_lua::{Host, Limits, Script, ScriptErrorKind, ScriptFile, Turn, json};

fn host(source: &str) -> Host {
    let host = Host::new(&Limits::default(), &[]).unwrap();
    host.run(&Script::new("rules.lua", source)).unwrap();
    host
}

#[test]
fn an_error_names_the_script_and_the_line() {
    let host = host(
        "function divide(a)\n  return a.b / 1\nend\nfunction custom() error('no such plant') end",
    );
    let divide = host.function("divide").unwrap();
    let error = host.call::<f64>(&divide, 7).unwrap_err();
    assert_eq!(error.kind(), ScriptErrorKind::Runtime);
    assert_eq!(
        error.to_string(),
        "rules.lua:2: attempt to index a number value (local 'a')"
    );
    assert!(
        error
            .traceback()
            .is_some_and(|calls| calls.contains("rules.lua:2")),
        "{error:?}"
    );
    let custom = host.function("custom").unwrap();
    assert_eq!(
        host.call::<()>(&custom, ()).unwrap_err().to_string(),
        "rules.lua:4: no such plant"
    );

    let syntax = host
        .run(&Script::new("new.lua", "x = 1\nif then end"))
        .unwrap_err();
    assert_eq!(syntax.kind(), ScriptErrorKind::Syntax);
    assert_eq!(
        syntax.to_string(),
        "new.lua:2: unexpected symbol near 'then'"
    );
}

#[test]
fn each_call_has_a_budget_of_its_own() {
    let host = Host::new(
        &Limits {
            instructions: 100_000,
            ..Limits::default()
        },
        &[],
    )
    .unwrap();
    host.run(&Script::new(
        "x.lua",
        "function work(n) local s = 0 for i = 1, n do s = s + i end return s end",
    ))
    .unwrap();
    let work = host.function("work").unwrap();
    for _ in 0..20 {
        assert_eq!(host.call::<i64>(&work, 30_000).unwrap(), 450_015_000);
    }
    let error = host.call::<i64>(&work, 200_000).unwrap_err();
    assert_eq!(error.kind(), ScriptErrorKind::Instructions);
    assert_eq!(host.call::<i64>(&work, 3).unwrap(), 6);
}

#[test]
fn a_task_pauses_yields_and_ends() {
    let host = host(
        "function app(first)
        local sum = 0
        for i = 1, 100000 do sum = sum + i end
        local second = coroutine.yield('sleep', 10)
        return first + second + sum
    end",
    );
    let mut task = host.task(host.function("app").unwrap()).unwrap();
    let mut pauses = 0;
    let mut turn = host.resume(&mut task, 10_000, 1).unwrap();
    while let Turn::Paused = turn {
        pauses += 1;
        turn = host.resume(&mut task, 10_000, ()).unwrap();
    }
    assert!(pauses >= 10, "{pauses}");
    let Turn::Yielded(values) = turn else {
        panic!("{turn:?}")
    };
    assert_eq!(values.len(), 2);
    let Turn::Ended(values) = host.resume(&mut task, 10_000, 2).unwrap() else {
        panic!()
    };
    let sum: i64 = host.lua().unpack_multi(values).unwrap();
    assert_eq!(sum, 1 + 2 + 5_000_050_000);
    assert!(!task.is_alive());
}

#[test]
fn a_pause_does_not_look_like_a_yield_to_the_scripts_own_coroutines() {
    let host = host(
        "function app()
        local co = coroutine.wrap(function() for i = 1, 100000 do end coroutine.yield('mine') end)
        return co()
    end",
    );
    let mut task = host.task(host.function("app").unwrap()).unwrap();
    let mut turn = host.resume(&mut task, 5_000, ()).unwrap();
    while let Turn::Paused = turn {
        turn = host.resume(&mut task, 5_000, ()).unwrap();
    }
    let Turn::Ended(values) = turn else {
        panic!("{turn:?}")
    };
    assert_eq!(host.lua().unpack_multi::<String>(values).unwrap(), "mine");
}

#[test]
fn a_task_that_never_ends_is_stopped() {
    let host = host("function spin() while true do end end");
    let mut task = host.task(host.function("spin").unwrap()).unwrap();
    task.refill(100_000);
    let mut turns = 0;
    let error = loop {
        match host.resume(&mut task, 20_000, ()) {
            Ok(Turn::Paused) => turns += 1,
            Ok(turn) => panic!("{turn:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ScriptErrorKind::Instructions);
    assert!((4..=5).contains(&turns), "{turns}");
}

#[test]
fn json_goes_there_and_back() {
    let host = host(
        "json = require 'cjson.safe' function there(t) return json.encode(json.decode(t)) end",
    );
    let there = host.function("there").unwrap();
    let table = [
        (
            r#"{"b":1,"a":[1,2.5,"x",true,null]}"#,
            r#"{"a":[1,2.5,"x",true,null],"b":1}"#,
        ),
        ("[]", "[]"),
        ("{}", "{}"),
        ("1.0", "1"),
        ("9007199254740993", "9007199254740993"),
        (r#""ü\u0000\n""#, r#""ü\u0000\n""#),
    ];
    for (text, again) in table {
        assert_eq!(host.call::<String>(&there, text).unwrap(), again);
    }
    let decode = host
        .lua()
        .load("return require('cjson').decode('{\"a\":')")
        .into_function()
        .unwrap();
    let (nothing, says): (Value, String) = host.call(&decode, ()).unwrap();
    assert_eq!(
        (nothing, says.as_str()),
        (Value::Nil, "EOF while parsing a value at line 1 column 5")
    );
    let raw = host.lua().create_string(b"\xFF").unwrap();
    assert!(
        json::from_lua(host.lua(), &Value::String(raw))
            .unwrap_err()
            .contains("UTF-8")
    );
}

#[test]
fn bytes_pass_as_they_are() {
    let host = host("function first(s) return #s, s:byte(1), s end");
    let bytes = host.lua().create_string(b"\x00\xFF\x80").unwrap();
    let first = host.function("first").unwrap();
    let (length, byte, same): (i64, i64, LuaString) = host.call(&first, bytes).unwrap();
    assert_eq!(
        (length, byte, &*same.as_bytes()),
        (3, 0, &b"\x00\xFF\x80"[..])
    );
}

#[test]
fn modules_and_print_are_the_hosts() {
    let host = Host::new(&Limits::default(), &[]).unwrap();
    let printed: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = Arc::clone(&printed);
    host.on_print(move |line| lines.lock().unwrap().push(line.to_owned()))
        .unwrap();
    host.module_source(&Script::new("plant", "return {name = 'north'}"))
        .unwrap();
    host.run(&Script::new(
        "x.lua",
        "print(require('plant').name, 7, nil)",
    ))
    .unwrap();
    assert_eq!(*printed.lock().unwrap(), ["north\t7\tnil"]);
    host.run(&Script::new(
        "x.lua",
        "function on_publish() end local function hidden() end",
    ))
    .unwrap();
    assert!(host.functions().contains(&"on_publish".to_owned()));
    assert!(!host.functions().contains(&"tostring".to_owned()));
}

#[test]
fn a_file_is_read_again_when_it_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.lua");
    std::fs::write(&path, "return 1").unwrap();
    let mut file = ScriptFile::new(&path);
    assert_eq!(file.read().unwrap(), Script::new("rules.lua", "return 1"));
    assert_eq!(file.read_if_changed().unwrap(), None);
    std::fs::write(&path, "return 10").unwrap();
    assert_eq!(
        file.read_if_changed().unwrap(),
        Some(Script::new("rules.lua", "return 10"))
    );
    std::fs::remove_file(&path).unwrap();
    assert_eq!(file.read_if_changed().unwrap(), None);
}

#[test]
fn a_host_moves_between_threads() {
    let host = host("n = 0 function count() n = n + 1 return n end");
    let host = std::thread::spawn(move || {
        let count = host.function("count").unwrap();
        host.call::<MultiValue>(&count, ()).unwrap();
        host
    })
    .join()
    .unwrap();
    let count = host.function("count").unwrap();
    assert_eq!(host.call::<i64>(&count, ()).unwrap(), 2);
}
