-- What a script finds in place of library functions that would let it escape its budget.
-- Called once with what only the host can say; everything here is local, so a script cannot reach it.
local spent = ...

local assert, error, select, type, rawget = assert, error, select, type, rawget
local math_type, tointeger = math.type, math.tointeger
local pcall_, load_ = pcall, load
local create_, resume_, close_ = coroutine.create, coroutine.resume, coroutine.close
local insert_, rep_ = table.insert, string.rep
local setmetatable_, collectgarbage_ = setmetatable, collectgarbage

-- An error that ends a call for its budget is not for the script to catch.
local function let_through(ok, ...)
  if not ok then spent(...) end
  return ok, ...
end

function pcall(f, ...) return let_through(pcall_(f, ...)) end

-- The library calls the handler where hooks are off, so that nothing would count there.
local function handled(handler, ok, ...)
  if ok then return true, ... end
  spent(...)
  return false, select(2, pcall(handler, (...)))
end

function xpcall(f, handler, ...) return handled(handler, pcall_(f, ...)) end

function coroutine.resume(co, ...) return let_through(resume_(co, ...)) end

function coroutine.close(co)
  spent()
  return let_through(close_(co))
end

-- The library closes a coroutine that failed with hooks off.
local function unwrapped(co, ok, ...)
  if ok then return ... end
  spent(...)
  close_(co)
  error((...), 0)
end

function coroutine.wrap(f)
  local co = create_(f)
  return function(...) return unwrapped(co, resume_(co, ...)) end
end

-- Text only: bytecode can break the interpreter.
function load(chunk, name, mode, ...)
  return load_(chunk, name, "t", ...)
end

-- They would run where no instruction is counted.
function setmetatable(value, metatable)
  if type(metatable) == "table" then
    if rawget(metatable, "__gc") ~= nil then error("finalizers (__gc) are not available", 2) end
    if rawget(metatable, "__close") ~= nil then error("closing variables (__close) are not available", 2) end
  end
  return setmetatable_(value, metatable)
end

function collectgarbage(what)
  if what == nil or what == "collect" or what == "count" or what == "step" then
    return collectgarbage_(what)
  end
  error("collectgarbage offers \"collect\", \"step\" and \"count\" here", 2)
end

-- The library's own loops over what a table claims to be its length, at no instruction's cost.
function table.insert(list, ...)
  local given = select("#", ...)
  if given == 1 then
    return insert_(list, (...))
  elseif given ~= 2 then
    error("wrong number of arguments to 'insert'", 2)
  end
  local place, value = ...
  local last = #list
  if math_type(place) ~= "integer" then place = assert(tointeger(place), "bad argument #2 to 'insert' (integer expected)") end
  if place < 1 or place > last + 1 then error("bad argument #2 to 'insert' (position out of bounds)", 2) end
  for i = last, place, -1 do list[i + 1] = list[i] end
  list[place] = value
end

function table.remove(list, place)
  local last = #list
  if place == nil then
    place = last
  else
    if math_type(place) ~= "integer" then place = assert(tointeger(place), "bad argument #2 to 'remove' (integer expected)") end
    if last + 1 ~= place and (place < 1 or place > last + 1) and not (last == 0 and place == 0) then
      error("bad argument #2 to 'remove' (position out of bounds)", 2)
    end
  end
  local value = list[place]
  for i = place, last - 1 do list[i] = list[i + 1] end
  if place <= last then list[last] = nil else list[place] = nil end
  return value
end

function table.move(from, first, last, to, into)
  into = into or from
  if to > last or to <= first or into ~= from then
    for i = 0, last - first do into[to + i] = from[first + i] end
  else
    for i = last - first, 0, -1 do into[to + i] = from[first + i] end
  end
  return into
end

function string.rep(text, times, separator)
  if #text == 0 and (separator == nil or #separator == 0) then return "" end
  return rep_(text, times, separator)
end
