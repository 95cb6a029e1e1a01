-- wrk: POST /invoke/stream to the `scripted` agent, 22 events without pauses. `benchmarks/run` says how it is called.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"tokens":20}'
