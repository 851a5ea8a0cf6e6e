-- Compares every answer, of GET / and of a POST whose body comes back; as many at once as told.
local threads = {}
right, wrong = 0, 0

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  local depth = tonumber(args[1])
  local get = wrk.format("GET", "/")
  local post = wrk.format("POST", "/echo", nil, "netpoll")
  local all = {}
  for i = 1, depth do all[i] = i % 4 == 0 and post or get end
  requests = table.concat(all)
end

function request()
  return requests
end

function response(status, headers, body)
  if status == 200 and (body == "Hello, World!" or body == "netpoll") then
    right = right + 1
  else
    wrong = wrong + 1
  end
end

function done(summary, latency, requests)
  local r, w, e = 0, 0, 0
  for _, thread in ipairs(threads) do
    r = r + thread:get("right")
    w = w + thread:get("wrong")
  end
  for _, count in pairs(summary.errors) do e = e + count end
  print(string.format("checked: %d right, %d wrong, %d errors", r, w, e))
end
