-- Counts what a script of wrk finds right and wrong, in all threads, and prints it at the end.
local threads = {}
right, wrong = 0, 0

function setup(thread)
  table.insert(threads, thread)
end

function check(isRight)
  if isRight then
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
