-- wrk: POST /runs to the `scripted` agent, runs of two events. `benchmarks/run` says how it is called.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"tokens":0}'
