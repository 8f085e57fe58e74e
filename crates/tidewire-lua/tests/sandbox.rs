//! What a script cannot do, however it tries.

use std::time::{Duration, Instant};
use tidewire_lua::{Grant, Host, Limits, Script, ScriptError, ScriptErrorKind};

/// Small budgets: what does not end by itself is stopped after some milliseconds.
fn limits() -> Limits {
    Limits {
        instructions: 200_000,
        memory_bytes: 4 << 20,
    }
}

fn run(source: &str) -> Result<(), ScriptError> {
    let host = Host::new(&limits(), &[]).unwrap();
    host.run(&Script::new("rules.lua", source)).map(drop)
}

#[test]
fn what_never_ends_is_stopped_and_cannot_be_caught() {
    let table = [
        ("a loop", "while true do end"),
        ("recursion", "local function f() return f() end f()"),
        (
            "pcall",
            "while true do pcall(function() while true do end end) end",
        ),
        (
            "xpcall",
            "while true do xpcall(function() while true do end end, function() while true do end end) end",
        ),
        (
            "coroutines",
            "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        ),
        (
            "wrapped coroutines",
            "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        ),
        (
            "an error's own text",
            "error(setmetatable({}, {__tostring = function() while true do end end}))",
        ),
        (
            "a comparison",
            "local t = {3, 2, 1} table.sort(t, function() while true do end end)",
        ),
        (
            "a replacement",
            "string.gsub('a', 'a', function() while true do end end)",
        ),
        (
            "a metamethod",
            "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return t[1]",
        ),
        (
            "a false length",
            "table.insert(setmetatable({}, {__len = function() return 1 << 52 end}), 1, 0)",
        ),
        (
            "removal from a false length",
            "table.remove(setmetatable({}, {__len = function() return 1 << 52 end}), 1)",
        ),
        ("a long move", "table.move({}, 1, math.maxinteger - 1, 2)"),
    ];
    for (name, source) in table {
        let begun = Instant::now();
        let error = run(source).expect_err(name);
        // Recursion of metamethods meets the bound of the interpreter's own stack first.
        if name != "a metamethod" {
            assert_eq!(
                error.kind(),
                ScriptErrorKind::Instructions,
                "{name}: {error}"
            );
            assert!(
                error
                    .to_string()
                    .contains("used more than 200000 instructions"),
                "{name}: {error}"
            );
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{name}");
    }
}

#[test]
fn memory_ends_where_it_is_said() {
    let table = [
        ("a long text", "local s = 'x' while true do s = s .. s end"),
        ("a repeated text", "return ('x'):rep(1 << 30)"),
        (
            "a growing table",
            "local t = {} for i = 1, 1e9 do t[i] = i end",
        ),
        (
            "caught and tried again",
            "local kept = {} pcall(function() for i = 1, 1e9 do kept[i] = {} end end) for i = 1, 1e9 do kept[#kept + 1] = {} end",
        ),
    ];
    for (name, source) in table {
        let limits = Limits {
            instructions: 50_000_000,
            ..limits()
        };
        let host = Host::new(&limits, &[]).unwrap();
        let error = host.run(&Script::new("rules.lua", source)).expect_err(name);
        assert_eq!(error.kind(), ScriptErrorKind::Memory, "{name}: {error}");
        assert!(host.used_bytes() <= limits.memory_bytes, "{name}");
        host.collect_garbage().unwrap();
        assert!(host.used_bytes() < 1 << 20, "{name}");
        let after = host.run(&Script::new("after.lua", "return 1 + 1"));
        assert!(after.is_ok(), "{name}: the host goes on: {after:?}");
    }
}

#[test]
fn a_few_shared_tables_do_not_become_endless_json() {
    let source = "
        local t = {'0123456789'}
        for i = 1, 40 do t = {t, t} end
        local text, says = require('cjson.safe').encode(t)
        assert(text == nil and says:find('more than 16777216 bytes', 1, true), says)";
    run(source).unwrap();
    let itself = "
        local t = {} t[1] = t
        local text, says = require('json').encode(t)
        assert(text == nil and says:find('contain itself', 1, true), says)";
    run(itself).unwrap();
}

#[test]
fn nothing_of_this_machine_is_within_reach() {
    for name in [
        "io",
        "debug",
        "package",
        "dofile",
        "loadfile",
        "os.execute",
        "os.exit",
        "os.getenv",
        "os.remove",
        "os.rename",
        "os.tmpname",
        "os.setlocale",
        "string.dump",
    ] {
        run(&format!("assert({name} == nil)")).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let bytecode = "\\27Lua";
    let refused = run(&format!("assert(load('{bytecode}', 'x', 'b'))")).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("attempt to load a binary chunk"),
        "{refused}"
    );
    let script = Host::new(&limits(), &[])
        .unwrap()
        .run(&Script::new("x", b"\x1bLua\x54"));
    assert_eq!(script.unwrap_err().kind(), ScriptErrorKind::Syntax);
    for (name, what) in [
        ("__gc", "finalizers (__gc)"),
        ("__close", "closing variables (__close)"),
    ] {
        let refused = run(&format!("setmetatable({{}}, {{{name} = print}})")).unwrap_err();
        let says = format!("rules.lua:1: {what} are not available");
        assert_eq!(refused.to_string(), says);
    }
    let module = run("require 'socket'").unwrap_err();
    assert_eq!(
        module.to_string(),
        "rules.lua:1: there is no module `socket`; there are: cjson, cjson.safe, json"
    );
}

#[test]
fn a_grant_gives_what_it_names_and_nothing_else() {
    let table = [
        (
            Grant::Files,
            "assert(io.open and os.remove and not io.popen and not os.execute and not os.getenv)",
        ),
        (
            Grant::Processes,
            "assert(io.popen and os.execute and not io.open and not os.remove and not os.getenv)",
        ),
        (
            Grant::Environment,
            "assert(os.getenv and not io and not os.remove and not os.execute)",
        ),
    ];
    for (grant, source) in table {
        let host = Host::new(&limits(), &[grant]).unwrap();
        host.run(&Script::new("x.lua", source))
            .unwrap_or_else(|error| panic!("{grant:?}: {error}"));
        host.run(&Script::new(
            "x.lua",
            "assert(not os.exit and not debug and not loadfile)",
        ))
        .unwrap();
    }
}
