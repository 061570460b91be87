-- What wrk sends to the server: one-token completions or chats, or GET /health (HTTP alone, the ceiling). Prints one JSON
-- line.
--   wrk -s completion.lua http://127.0.0.1:8000 -- completion | chat | health
local completion = '{"prompt":"x","max_tokens":1,"temperature":0}'
local chat = '{"messages":[{"role":"user","content":"x"}],"max_tokens":1,"temperature":0}'

function init(arguments)
  if arguments[1] == "health" then
    ready_made = wrk.format("GET", "/health")
  elseif arguments[1] == "chat" then
    ready_made = wrk.format("POST", "/v1/chat/completions", {["Content-Type"] = "application/json"}, chat)
  else
    ready_made = wrk.format("POST", "/v1/completions", {["Content-Type"] = "application/json"}, completion)
  end
end

function request()
  return ready_made
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, "not_2xx": %d, "socket_errors": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
