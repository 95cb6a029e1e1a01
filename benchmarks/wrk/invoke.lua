-- wrk: POST /invoke to the `echo` agent. `benchmarks/run` says how it is called.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"text":"Hello, world!"}'
