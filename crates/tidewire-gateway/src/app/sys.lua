-- What an app gets as `sys`, and what it gets through it. `host` has the functions of the gateway.
local host, cjson = ...
local unpack = table.unpack

local function arguments_text(...)
  local texts = {}
  for at = 1, select("#", ...) do texts[at] = tostring((select(at, ...))) end
  return table.concat(texts, "\t")
end

local logger = {}
for _, level in ipairs({ "trace", "debug", "info", "notice", "warning", "error", "fatal" }) do
  logger[level] = function(_, ...) host.log(level, arguments_text(...)) end
end
logger.warn = logger.warning
function logger:log(level, ...) host.log(level, arguments_text(...)) end

local sys = {}
local wakers = {}

function sys:logger() return logger end
function sys:log(level, ...) host.log(level, arguments_text(...)) end
function sys:dump_comm(sn, dir, ...) host.log("trace", arguments_text(sn, dir, ...)) end
function sys:timeout(ms, callback) return host.timer(ms, callback) end
function sys:cancelable_timeout(ms, callback)
  local id = host.timer(ms, callback)
  return function() host.cancel(id) end
end
function sys:fork(callback, ...)
  local given = table.pack(...)
  host.fork(function() return callback(unpack(given, 1, given.n)) end)
end
function sys:sleep(ms) coroutine.yield("sleep", ms or 0) end
function sys:yield() coroutine.yield("sleep", 0) end
function sys:wait(token)
  wakers[token] = false
  while not wakers[token] do coroutine.yield("sleep", 10) end
  wakers[token] = nil
end
function sys:wakeup(token) wakers[token] = true end
function sys:exit() host.stop("exit") end
function sys:abort() host.stop("abort") end
function sys:now() return host.uptime_ms() end
function sys:time() return host.time() end
function sys:start_time() return host.time() - host.uptime_ms() / 1000 end
function sys:id() return host.id end
function sys:hw_id() return host.id end
function sys:app_name() return host.name end
function sys:app_sn() return host.id .. "." .. host.name end
function sys:gen_sn(name) return host.id .. "." .. tostring(name or host.name) end
function sys:app_dir() return host.dir end
function sys:app_version() return 1 end
function sys:lib_path() return host.dir end
function sys:get_conf(default)
  local conf = host.conf()
  if default then
    for key, value in pairs(default) do if conf[key] == nil then conf[key] = value end end
  end
  return conf
end
function sys:set_conf(conf) return host.set_conf(conf) end
function sys:conf_api() return nil, "there is no configuration server" end
function sys:unique(key) return host.id .. "." .. tostring(key) end

local device = {}
device.__index = device

function device:list_props() return host.device(self._sn) end
function device:sn() return self._sn end
function device:mod(inputs, outputs, commands)
  self._props.inputs, self._props.outputs, self._props.commands = inputs or {}, outputs or {}, commands or {}
  return host.mod_device(self._sn, self._props)
end
local function append(to, more) for _, row in ipairs(more or {}) do to[#to + 1] = row end end
function device:add(inputs, outputs, commands)
  append(self._props.inputs, inputs)
  append(self._props.outputs, outputs)
  append(self._props.commands, commands)
  return host.mod_device(self._sn, self._props)
end
function device:get_input_prop(input, prop) return host.get_input(self._sn, input, prop or "value") end
function device:set_input_prop(input, prop, value, timestamp, quality)
  return host.input(self._sn, input, prop or "value", value, timestamp, quality, false)
end
function device:set_input_prop_emergency(input, prop, value, timestamp, quality)
  return host.input(self._sn, input, prop or "value", value, timestamp, quality, true)
end
function device:get_output_prop(output, prop) return host.get_input(self._sn, output, prop or "value") end
local function act(sn, kind, name, prop, value)
  local ticket = host.act(sn, kind, name, prop, value)
  while true do
    local is_done, result, err = host.acted(ticket)
    if is_done then return result, err end
    coroutine.yield("bell", 1000)
  end
end
function device:set_output_prop(output, prop, value) return act(self._sn, "output", output, prop or "value", value) end
function device:send_command(command, param) return act(self._sn, "command", command, "", param) end
function device:fire_event(level, kind, info, data, timestamp)
  return host.event(self._sn, level, tostring(kind or "APP"), tostring(info or ""), data or {}, timestamp)
end
function device:flush_data() host.flush() end
function device:data() return host.values(self._sn) end
function device:dump_comm(dir, ...) host.log("trace", arguments_text(self._sn, dir, ...)) end
function device:stat(name)
  local sn, values = self._sn, {}
  local stat = {}
  function stat:get(prop) return values[prop] or 0 end
  function stat:set(prop, value)
    values[prop] = value
    return host.stat(sn, name, prop, value, nil)
  end
  function stat:inc(prop, value) return self:set(prop, (values[prop] or 0) + (value or 1)) end
  function stat:reset(prop) return self:set(prop, 0) end
  return stat
end
function device:cleanup() end

local api = {}
function api:set_handler(handler, watch) host.set_handler(handler, watch and true or false) end
function api:list_devices() return host.list_devices() end
function api:add_device(sn, meta, inputs, outputs, commands)
  local props = { meta = meta or {}, inputs = inputs or {}, outputs = outputs or {}, commands = commands or {} }
  local ok, err = host.add_device(sn, props)
  if not ok then return nil, err end
  return setmetatable({ _sn = sn, _props = props }, device)
end
function api:del_device(dev) return host.del_device(type(dev) == "table" and dev._sn or dev) end
function api:get_device(sn)
  local props = host.device(sn)
  if not props then return nil, "there is no such device" end
  return setmetatable({ _sn = sn, _props = props }, device)
end
function api:default_meta() return { name = host.name, inst = host.name, description = "" } end
function api:send_ctrl() return nil, "apps do not control each other" end
function api:cleanup() host.set_handler(nil, false) end

function sys:data_api() return api end

-- The module `mosquitto`, with lua-mosquitto's names.
local mosquitto = {
  PROTOCOL_V31 = 3, PROTOCOL_V311 = 4, PROTOCOL_V5 = 5,
  LOG_NONE = 0, LOG_INFO = 1, LOG_NOTICE = 2, LOG_WARNING = 4, LOG_ERROR = 8, LOG_DEBUG = 16, LOG_ALL = 65535,
  ERR_SUCCESS = 0, ERR_NOMEM = 1, ERR_PROTOCOL = 2, ERR_INVAL = 3, ERR_NO_CONN = 4, ERR_CONN_REFUSED = 5,
  ERR_NOT_FOUND = 6, ERR_CONN_LOST = 7, ERR_TLS = 8, ERR_PAYLOAD_SIZE = 9, ERR_NOT_SUPPORTED = 10, ERR_AUTH = 11,
}
function mosquitto.version() return 2, 0, 0 end
function mosquitto.init() return true end
function mosquitto.cleanup() return true end
function mosquitto.topic_matches_sub(filter, topic) return host.topic_matches(filter, topic) end

local client = {}
client.__index = client
local NAMES = { "ON_CONNECT", "ON_DISCONNECT", "ON_PUBLISH", "ON_MESSAGE", "ON_SUBSCRIBE", "ON_UNSUBSCRIBE", "ON_LOG" }

function mosquitto.new(id, clean_session)
  local number, err = host.mqtt_new(id or "", clean_session ~= false)
  if not number then return nil, err end
  return setmetatable({ _number = number }, client)
end
function client:destroy() host.mqtt_destroy(self._number) return true end
function client:reinitialise(id, clean_session)
  host.mqtt_destroy(self._number)
  self._number = host.mqtt_new(id or "", clean_session ~= false)
  return true
end
function client:version_set(version) return host.mqtt_set(self._number, "version", version) end
function client:option(name, value)
  if name == 1 or name == "PROTOCOL_VERSION" then return host.mqtt_set(self._number, "version", value) end
  return nil, mosquitto.ERR_NOT_SUPPORTED, "this option is not known"
end
function client:login_set(username, password) return host.mqtt_set(self._number, "login", username, password) end
function client:will_set(topic, payload, qos, retain)
  return host.mqtt_set(self._number, "will", topic, payload or "", qos or 0, retain and true or false)
end
function client:will_clear() return host.mqtt_set(self._number, "will") end
function client:tls_set(ca_file, ca_path, cert_file, key_file)
  return host.mqtt_set(self._number, "tls", ca_file, ca_path, cert_file, key_file)
end
function client:tls_insecure_set(on) return host.mqtt_set(self._number, "insecure", on and true or false) end
function client:tls_opts_set() return true end
function client:threaded_set() return true end
function client:callback_set(name, callback) self[name] = callback end

function client:connect_async(address, port, keep_alive)
  self._again = { address, port, keep_alive }
  return host.mqtt_connect(self._number, address or "localhost", port or 1883, keep_alive or 60)
end
function client:connect(address, port, keep_alive)
  local ok, code, text = self:connect_async(address, port, keep_alive)
  if not ok then return ok, code, text end
  while true do
    local state, number, why = host.mqtt_opened(self._number)
    if state == "open" then return true end
    if state == "failed" then return nil, number, why end
    coroutine.yield("bell", 1000)
  end
end
function client:reconnect()
  if not self._again then return nil, mosquitto.ERR_INVAL, "it was never connected" end
  return self:connect(unpack(self._again, 1, 3))
end
client.reconnect_async = client.reconnect
function client:disconnect() return host.mqtt_disconnect(self._number) end
function client:publish(topic, payload, qos, retain)
  return host.mqtt_publish(self._number, topic, payload or "", qos or 0, retain and true or false)
end
function client:subscribe(filter, qos) return host.mqtt_subscribe(self._number, filter, qos or 0) end
function client:unsubscribe(filter) return host.mqtt_unsubscribe(self._number, filter) end
function client:want_write() return false end
function client:socket() return -1 end

local function happened(self)
  local name, a, b, c, d, e = host.mqtt_poll(self._number)
  if not name then return false end
  local callback = self[name]
  if callback then callback(a, b, c, d, e) end
  return true
end
function client:loop(timeout, max)
  local ms = timeout or 1000
  if ms < 0 then ms = 1000 end
  if not happened(self) then
    coroutine.yield("bell", ms)
    happened(self)
  end
  for _ = 2, max or 1 do if not happened(self) then break end end
  if host.mqtt_is_lost(self._number) then return nil, mosquitto.ERR_CONN_LOST, "The connection was lost." end
  return true
end
client.loop_read, client.loop_write = client.loop, function() return true end
function client:loop_misc() return true end
function client:loop_forever(timeout, max)
  while not self._stopped do
    local ok, code, text = self:loop(timeout or -1, max or 1)
    if not ok then
      if self._closing then return true end
      coroutine.yield("sleep", 1000)
      self:reconnect()
    end
  end
end
function client:loop_start()
  self._stopped = false
  host.fork(function() self:loop_forever() end)
  return true
end
function client:loop_stop() self._stopped = true return true end

local event = {
  LEVEL_DEBUG = 0, LEVEL_INFO = 1, LEVEL_WARNING = 2, LEVEL_ERROR = 3, LEVEL_FATAL = 99,
  EVENT_SYS = "SYS", EVENT_DEV = "DEV", EVENT_COMM = "COMM", EVENT_DATA = "DATA", EVENT_APP = "APP",
}

return sys, mosquitto, event
