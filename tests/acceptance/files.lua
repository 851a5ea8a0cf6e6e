-- Asks for one piece of a file after the other and compares every byte: files.lua FILE PATH.
dofile("tests/acceptance/checked.lua")

function init(args)
  local file = assert(io.open(args[1], "rb"))
  bytes = file:read("*a")
  file:close()
  path = args[2]
  at = 0
  expected = {}
end

-- With one connection a thread, answers come in the order of the requests.
function request()
  local length = at * 7919 % 300000 + 1
  local first = at * 104729 % (#bytes - length)
  at = at + 1
  expected = bytes:sub(first + 1, first + length)
  return wrk.format("GET", path, { Range = string.format("bytes=%d-%d", first, first + length - 1) })
end

function response(status, headers, body)
  check(status == 206 and body == expected)
end
