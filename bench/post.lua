-- Sends the requests of a file that `--example requests` wrote, each once and in order, but for the first SKIP:
--   wrk -t1 -c64 -d10 -s bench/post.lua http://127.0.0.1:7071 -- FILE [SKIP]
-- At the end it prints a line of JSON, with p99.9, beside wrk's own report.
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

-- The length of the next request, or nil at the file's end. A handle is kept and not the text: it may be gigabytes.
local function head()
  local head = file:read(4)
  if not head then return nil end
  local a, b, c, d = head:byte(1, 4)
  return a + b * 256 + c * 65536 + d * 16777216
end

local function read()
  local length = head()
  if not length then return nil end
  position = position + 1
  return file:read(length)
end

local function pass()
  local length = head()
  return length and file:seek("cur", length)
end

function init(args)
  local name = assert(args[1], "name the file after --")
  file = assert(io.open(name, "rb"))
  file:setvbuf("full", 1048576)
  for _ = 1, tonumber(args[2] or "0") do
    if not pass() then break end
  end
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

function done(summary, latency)
  local broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  local refused = summary.errors.status
  local seconds = summary.duration / 1e6
  local acked = summary.requests - refused
  io.write(string.format(
    '{"requests":%d,"acked":%d,"refused":%d,"broken":%d,"seconds":%.3f,"rate":%.1f,' ..
      '"p50_ms":%.3f,"p99_ms":%.3f,"p99_9_ms":%.3f,"max_ms":%.3f}\n',
    summary.requests, acked, refused, broken, seconds, acked / seconds,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency:percentile(99.9) / 1000, latency.max / 1000
  ))
end
