-- What wrk runs: with a number of bytes as its argument, the requests upload so many;
-- at its end it prints what it has measured as one line of JSON.

init = function(arguments)
   if arguments[1] then
      wrk.method = "POST"
      wrk.body = string.rep("x", tonumber(arguments[1]))
   end
end

done = function(summary, latency, requests)
   -- wrk itself counts only what it has read.
   local written = 0
   for line in io.lines("/proc/self/io") do
      written = tonumber(line:match("^wchar: (%d+)")) or written
   end
   local errors = summary.errors
   io.write(string.format(
      '\n{"seconds": %.6f, "requests": %.0f, "read": %.0f, "written": %.0f, ' ..
      '"p50": %.6f, "p99": %.6f, "errors": %.0f}\n',
      summary.duration / 1e6, summary.requests, summary.bytes, written,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
