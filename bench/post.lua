-- Sends the requests of a file that `--example requests` wrote, each once and in order:
--   wrk -t1 -c64 -d10 -s bench/post.lua http://127.0.0.1:7071 -- FILE
-- With several threads (-tN) each takes every Nth request. A thread that has sent all of its requests stops, so make
-- the file large enough for the duration. wrk tries one request before it starts: that one is never sent.

-- In wrk's own state: how many threads there are.
local count = 0
local known = {}

function setup(thread)
  thread:set("id", count)
  count = count + 1
  table.insert(known, thread)
  -- wrk sets all threads up before any starts; those before this one learn of it too.
  for _, each in ipairs(known) do each:set("threads", count) end
end

-- In a thread's state: its file, and the number of the request that the file stands at.
local file
local position = 0
local last

function init(args)
  local name = assert(args[1], "name the file after --")
  file = assert(io.open(name, "rb"))
  file:setvbuf("full", 1048576)
end

-- The next request of the file, or nil at its end. A handle is kept and not the text: it may be gigabytes.
local function read()
  local head = file:read(4)
  if not head then return nil end
  local a, b, c, d = head:byte(1, 4)
  position = position + 1
  return file:read(a + b * 256 + c * 65536 + d * 16777216)
end

function request()
  while position % threads ~= id do
    if not read() then break end
  end
  local text = read()
  if not text then
    -- wrk wants something to send nevertheless: it is a repeat.
    wrk.thread:stop()
    return last
  end
  last = text
  return text
end
