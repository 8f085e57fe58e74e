-- Classes: class(name, super) makes one, Class:new(...) or Class(...) an object of it whose `initialize` is called.
local function index(self, key)
  local klass = getmetatable(self).__klass
  while klass do
    local found = rawget(klass.__methods, key)
    if found ~= nil then return found end
    klass = rawget(klass, "super")
  end
end

local META = { "__add", "__sub", "__mul", "__div", "__mod", "__pow", "__unm", "__concat", "__len", "__eq", "__lt",
  "__le", "__call", "__tostring", "__pairs", "__index" }

local function is_a(klass, other)
  while klass do
    if klass == other then return true end
    klass = rawget(klass, "super")
  end
  return false
end

local function find_meta(klass, name)
  while klass do
    local found = rawget(klass.__methods, name)
    if found ~= nil then return found end
    klass = rawget(klass, "super")
  end
end

local function metatable_of(klass)
  local meta = { __klass = klass }
  for _, name in ipairs(META) do meta[name] = find_meta(klass, name) end
  local own = meta.__index
  if own == nil then
    meta.__index = index
  else
    meta.__index = function(self, key)
      local found = index(self, key)
      if found ~= nil then return found end
      if type(own) == "function" then return own(self, key) end
      return own[key]
    end
  end
  return meta
end

local class_meta = {
  __index = function(klass, key)
    local found = klass.__methods[key]
    if found ~= nil then return found end
    local super = rawget(klass, "super")
    if super then return super[key] end
  end,
  __newindex = function(klass, key, value) klass.__methods[key] = value end,
  __call = function(klass, ...) return klass:new(...) end,
  __tostring = function(klass) return "class " .. klass.name end,
}

local function class(name, super)
  assert(type(name) == "string", "a class needs a name")
  local klass = setmetatable({ name = name, super = super, static = {}, __methods = {} }, class_meta)
  local methods = klass.__methods
  methods.class = klass
  function methods.isInstanceOf(self, other) return type(self) == "table" and is_a(rawget(klass, "static") and self.class, other) end
  methods.allocate = function(self) return setmetatable({}, metatable_of(self)) end
  methods.new = function(self, ...)
    local object = self:allocate()
    local initialize = object.initialize
    if initialize then initialize(object, ...) end
    return object
  end
  methods.subclass = function(self, sub) return class(sub, self) end
  methods.isSubclassOf = function(self, other) return self ~= other and is_a(self, other) end
  methods.include = function(self, ...)
    for _, mixin in ipairs({ ... }) do
      for key, value in pairs(mixin) do
        if key ~= "included" and key ~= "static" then self[key] = value end
      end
      for key, value in pairs(mixin.static or {}) do rawset(self, key, value) end
      if mixin.included then mixin.included(mixin, self) end
    end
    return self
  end
  return klass
end

return setmetatable({ class = class }, { __call = function(_, ...) return class(...) end })
