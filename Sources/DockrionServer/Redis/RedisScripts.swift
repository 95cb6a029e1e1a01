/// The Lua scripts that Redis carries out, each as one step. Those that change a run touch the keys of that run
/// alone, which share a hash tag; `docs/redis-schema.md` describes the keys.
enum RedisScript: CaseIterable {
  case create, append, tell, cancel, reap, forget, claim, release

  var text: String {
    switch self {
    case .create: Self.createText
    case .append: Self.appendText
    case .tell: Self.tellText
    case .cancel: Self.cancelText
    case .reap: Self.reapText
    case .forget: Self.forgetText
    case .claim: Self.claimText
    case .release: Self.releaseText
    }
  }

  private static let isFinal = """
    local function final(s) return s == 'completed' or s == 'failed' or s == 'cancelled' end

    """

  /// KEYS: run, events. ARGV: seconds to live, then the record's fields and values. Answers 1, or 0 when the run
  /// exists; somebody is then told so. Events that an earlier run of that id has left are deleted.
  private static let createText = """
    local status = redis.call('HGET', KEYS[1], 'status')
    if status == 'accepted' then redis.call('HSET', KEYS[1], 'told', '1') end
    if status then return 0 end
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[1], unpack(ARGV, 2))
    redis.call('EXPIRE', KEYS[1], ARGV[1])
    return 1
    """

  /// Stores events behind the last stored one, and perhaps a new status.
  ///
  /// KEYS: run, events, channel. ARGV: owner, sequence that must be the last stored one, sequence of the last event,
  /// events in SSE form or nothing, the id from which on entries are kept or '', seconds to live or '', then the
  /// record's fields and values.
  /// Answers 1, or why nothing was done: `{'gone'}`, `{'fenced'}`, `{'final', sequence, status}`,
  /// `{'at', last stored sequence}`.
  private static let appendText =
    isFinal + """
      local run = redis.call('HMGET', KEYS[1], 'owner', 'status', 'seq')
      if not run[3] then return {'gone'} end
      if run[1] ~= ARGV[1] then return {'fenced'} end
      if final(run[2]) then return {'final', run[3], run[2]} end
      if run[3] ~= ARGV[2] then return {'at', run[3]} end
      if ARGV[4] ~= '' then
        if ARGV[5] == '' then
          redis.call('XADD', KEYS[2], ARGV[3] .. '-0', 'e', ARGV[4])
        else
          redis.call('XADD', KEYS[2], 'MINID', ARGV[5], ARGV[3] .. '-0', 'e', ARGV[4])
        end
        redis.call('HSET', KEYS[1], 'seq', ARGV[3], unpack(ARGV, 7))
        if ARGV[6] ~= '' then
          redis.call('EXPIRE', KEYS[1], ARGV[6])
          redis.call('EXPIRE', KEYS[2], ARGV[6])
        end
        redis.pcall('PUBLISH', KEYS[3], ARGV[4])
      end
      return 1
      """

  /// Marks a run that somebody is about to be answered with, before it has events: from then on its owner must not
  /// take it back. KEYS: run. Answers `{status, sequence, '1'}`, the first two nothing when there is no such run.
  private static let tellText = """
    local run = redis.call('HMGET', KEYS[1], 'status', 'seq')
    if run[1] == 'accepted' then redis.call('HSET', KEYS[1], 'told', '1') end
    return {run[1], run[2], '1'}
    """

  /// Asks a run's owner to cancel it, unless somebody has. KEYS: run. ARGV: the request, to be read by the owner.
  /// Answers `{status, owner}`, or nothing when there is no such run.
  private static let cancelText =
    isFinal + """
      local run = redis.call('HMGET', KEYS[1], 'status', 'owner')
      if not run[1] then return false end
      if not final(run[1]) then
        redis.call('HSETNX', KEYS[1], 'cancel', ARGV[1])
        redis.call('HSET', KEYS[1], 'told', '1')
      end
      return run
      """

  /// Ends a run whose owner is lost. KEYS: run, events, channel. ARGV: owner, the terminal event before and behind
  /// its sequence, seconds to live, then the record's fields and values. Answers the run's idempotency key, or an
  /// empty text, when the run was ended here, else nothing.
  private static let reapText =
    isFinal + """
      local run = redis.call('HMGET', KEYS[1], 'owner', 'status', 'seq')
      if not run[3] or run[1] ~= ARGV[1] or final(run[2]) then return false end
      local last = string.format('%.0f', run[3] + 1)
      local event = 'id: ' .. last .. '\\n' .. ARGV[2] .. last .. ARGV[3]
      redis.call('XADD', KEYS[2], last .. '-0', 'e', event)
      redis.call('HSET', KEYS[1], 'seq', last, unpack(ARGV, 5))
      redis.call('EXPIRE', KEYS[1], ARGV[4])
      redis.call('EXPIRE', KEYS[2], ARGV[4])
      redis.pcall('PUBLISH', KEYS[3], event)
      return redis.call('HGET', KEYS[1], 'idempotency_key') or ''
      """

  /// Takes back a run whose making was not confirmed, unless somebody was told of it. KEYS: run, events. ARGV: owner,
  /// the moment it was made. Answers `told` when the owner must execute it, `over` when it has an end, else `gone`.
  private static let forgetText =
    isFinal + """
      local run = redis.call('HMGET', KEYS[1], 'owner', 'created_at', 'status', 'told')
      if run[1] ~= ARGV[1] or run[2] ~= ARGV[2] then return 'gone' end
      if final(run[3]) then return 'over' end
      if run[4] then return 'told' end
      redis.call('DEL', KEYS[1], KEYS[2])
      return 'gone'
      """

  /// Takes a key for one value. KEYS: key. ARGV: value, seconds to live, a value that may be replaced.
  /// Answers nothing when the key now has the value, else the value it has.
  private static let claimText = """
    local held = redis.call('GET', KEYS[1])
    if held and held ~= ARGV[3] and held ~= ARGV[1] then return held end
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
    return false
    """

  /// Deletes a key while it has one value. KEYS: key. ARGV: value.
  private static let releaseText = """
    if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
    return 0
    """
}
