-- Compares every answer, of GET / and of a POST whose body comes back; as many at once as told.
dofile("tests/acceptance/checked.lua")

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
  check(status == 200 and (body == "Hello, World!" or body == "netpoll"))
end
