-- wrk: POST /invoke to the scripted agent, no tokens. See benchmarks/README.md.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"tokens":0}'
