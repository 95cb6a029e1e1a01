-- wrk: POST /invoke/stream to the scripted agent, 22 events without pauses. See benchmarks/README.md.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"tokens":20}'
