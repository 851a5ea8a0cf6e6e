/**
 * Requests whose answers must be those of a real server, byte by byte: ordinary ones, and wrong ones.
 */

/** Requests of one noun, as lines that one types; each begins with no keys. */
export const REQUESTS: Readonly<Record<string, string>> = {
  connection: `
    PING
    PING hello
    PING a b
    ECHO hello
    ECHO
    SELECT 1
    SELECT 99
    SELECT x
    SELECT 0
    CLIENT GETNAME
    CLIENT SETNAME me
    CLIENT GETNAME
    CLIENT SETNAME
    CLIENT NONSENSE
    HELLO 9
    HELLO x
    HELLO 2 NONSENSE
    CONFIG GET databases
    CONFIG GET nonsense
    COMMAND INFO nonsense
    DBSIZE
    AUTH x
    AUTH default x
    AUTH other x
    AUTH a b c
    HELLO 2 AUTH default x
    HELLO 2 AUTH other x
    INFO nonsense
    EXEC x
    NONSENSE
    NONSENSE a b c
    ping`,
  strings: `
    SET k hello
    GET k
    get k
    GET none
    GET
    GET a b
    SET k
    SET k v NX
    SET k v XX
    SET k v NX XX
    SET k w GET
    SET k v EX 0
    SET k v EX -1
    SET k v EX x
    SET k v EX
    SET k v EX 10 PX 10
    SET k v NONSENSE
    SET k v EX 100 KEEPTTL
    SET k v EX 100
    TTL k
    SET k v KEEPTTL
    TTL k
    SET k v
    TTL k
    SETNX k x
    SETNX n x
    SETEX e 100 v
    SETEX e 0 v
    PSETEX e 100000 v
    TTL e
    GETSET k z
    GETSET new z
    GETDEL new
    GETDEL new
    GETEX k EX 100
    GETEX k PERSIST
    GETEX k NONSENSE
    TTL k
    MSET a 1 b 2
    MSET a
    MSET a 1 b
    MGET a b none k
    MSETNX a 1 z 2
    MSETNX y 1 z 2
    APPEND k more
    APPEND fresh more
    STRLEN k
    STRLEN none
    GETRANGE k 0 2
    GETRANGE k -3 -1
    GETRANGE k 5 2
    GETRANGE k 0 x
    GETRANGE k -50 -100
    GETRANGE k 1 -100
    GETRANGE none -2 -1
    SETRANGE k 10 end
    SETRANGE k -1 end
    SETRANGE none2 0 ""
    GET k
    SUBSTR k 0 3`,
  counters: `
    INCR n
    INCRBY n 41
    DECR n
    DECRBY n 40
    GET n
    INCRBY n x
    INCRBY n 1.5
    SET n 9223372036854775806
    INCR n
    INCR n
    DECRBY n -1
    DECRBY n -9223372036854775808
    INCRBY n -9223372036854775808
    SET n 9223372036854775808
    INCR n
    SET n -0
    INCR n
    SET n 007
    INCR n
    SET n text
    INCR n
    SET f 10.5
    INCRBYFLOAT f 0.1
    INCRBYFLOAT whole 5e3
    INCRBYFLOAT whole -0.25
    INCRBYFLOAT f x
    INCRBYFLOAT n 1
    LPUSH l x
    INCR l`,
  lists: `
    RPUSH l a b c
    LPUSH l z
    RPUSHX l d
    RPUSHX none d
    LPUSHX none d
    LLEN l
    LLEN none
    LRANGE l 0 -1
    LRANGE l -2 -1
    LRANGE l 3 1
    LRANGE l 1 100
    LRANGE l x 1
    LRANGE none 0 -1
    LINDEX l 0
    LINDEX l -1
    LINDEX l 100
    LSET l 0 y
    LSET l 100 y
    LSET none 0 y
    LINSERT l BEFORE a 1
    LINSERT l AFTER a 2
    LINSERT l AFTER none 2
    LINSERT l NONSENSE a 2
    LINSERT none BEFORE a 2
    LRANGE l 0 -1
    RPUSH r a b a c a
    LREM r 1 a
    LREM r -1 a
    LRANGE r 0 -1
    LREM r 0 a
    LRANGE r 0 -1
    LPOP l
    RPOP l
    LPOP l 2
    RPOP l 100
    LPOP l
    LPOP none
    RPOP r -1
    RPOP r x
    LPOP r x
    EXISTS l
    RPUSH t 1 2 3 4 5
    LTRIM t 1 -2
    LRANGE t 0 -1
    LTRIM t 5 1
    EXISTS t
    RPUSH p a b c b a
    LPOS p b
    LPOS p b RANK 2
    LPOS p b RANK -1
    LPOS p b COUNT 0
    LPOS p none
    LPOS p a COUNT 0 MAXLEN 2
    LPOS p b RANK 0
    LPOS p b RANK x
    LPOS p b COUNT -1
    LPOS p b MAXLEN x
    LPOS p b RANK
    LPOP p 1 1
    RPOP p 1 1
    RPOPLPUSH p q
    LMOVE p q LEFT RIGHT
    LMOVE p q LEFT NONSENSE
    LRANGE q 0 -1
    RPOPLPUSH none q
    LPUSH s
    SET s x
    LPUSH s x
    RPOP s
    LRANGE s 0 -1`,
  hashes: `
    HSET h a 1 b 2
    HSET h a 3 c 4
    HSET h a
    HSET h a 1 b
    HGET h a
    HGET h none
    HGET none a
    HMGET h a none c
    HMSET h d 5
    HGETALL h
    HGETALL none
    HKEYS h
    HVALS h
    HLEN h
    HEXISTS h a
    HEXISTS h none
    HSETNX h a 9
    HSETNX h e 9
    HSTRLEN h e
    HINCRBY h a 10
    HINCRBY h new -1
    HSET h t text
    HINCRBY h t 1
    HINCRBY h a x
    HINCRBYFLOAT h a 0.5
    HINCRBYFLOAT h t 1
    HINCRBYFLOAT h a x
    HINCRBYFLOAT h a +inf
    HDEL h a b none
    HDEL none a
    HDEL h c d e t new
    EXISTS h
    HSET one f v
    HRANDFIELD one
    HRANDFIELD one 5
    HRANDFIELD one -2
    HRANDFIELD one 1 WITHVALUES
    HSCAN one 0
    HSCAN one 0 MATCH g*
    HSCAN one x
    SET s x
    HSET s a 1
    HGETALL s`,
  sets: `
    SADD s a
    SADD s a
    SCARD s
    SCARD none
    SMEMBERS s
    SMEMBERS none
    SISMEMBER s a
    SISMEMBER s b
    SMISMEMBER s a b
    SRANDMEMBER s
    SRANDMEMBER s 5
    SRANDMEMBER s -3
    SRANDMEMBER none
    SRANDMEMBER none 2
    SADD t a b c
    SINTER s t
    SINTER s none
    SDIFF s t
    SUNION s none
    SINTERSTORE d s t
    SUNIONSTORE d s t
    SDIFFSTORE d s t
    EXISTS d
    SINTERCARD 2 s t
    SINTERCARD 2 s t LIMIT 1
    SINTERCARD 0 s
    SINTERCARD 5 s t
    SMOVE s t a
    SMOVE s t none
    SMOVE none t a
    EXISTS s
    SREM t a none
    SREM t b c
    EXISTS t
    SADD p x
    SPOP p -1
    SPOP p x
    SPOP p 0
    SPOP p
    SPOP p
    SPOP p 2
    SADD q 1
    SSCAN q 0
    SSCAN q 0 MATCH x
    SADD q
    LPUSH l x
    SADD l x
    SINTER q l`,
  keys: `
    SET a 1
    SET b 2
    LPUSH l x
    SADD s x
    HSET h f v
    TYPE a
    TYPE l
    TYPE s
    TYPE h
    TYPE none
    EXISTS a b none a
    TOUCH a none
    KEYS a*
    KEYS [a-b]x
    KEYS \\\\a
    DEL b none
    UNLINK b
    RENAME a c
    RENAME a c
    RENAMENX c l
    RENAMENX c d
    COPY d e
    COPY d e
    COPY d e REPLACE
    COPY d d
    COPY d e DB 99
    COPY d e NONSENSE
    GET e
    EXPIRE d 100
    TTL d
    TTL l
    TTL none
    PTTL none
    EXPIRE none 100
    EXPIRE d x
    EXPIRE d 100 NX
    EXPIRE d 50 GT
    EXPIRE d 200 GT
    EXPIRE d 300 LT
    EXPIRE l 100 XX
    EXPIRE d 10 NX XX
    EXPIRE d 10 GT LT
    EXPIRE d 10 NONSENSE
    EXPIRE d 9223372036854775807
    RENAME d dd
    TTL dd
    PERSIST dd
    PERSIST dd
    EXPIREAT dd 4102444800
    EXPIRETIME dd
    PEXPIRETIME dd
    EXPIRETIME none
    PEXPIREAT dd 1
    EXISTS dd
    EXPIRE e -1
    EXISTS e
    SCAN 0 MATCH nothing
    SCAN x
    SCAN 0 COUNT 0
    SCAN 0 NONSENSE 1
    DBSIZE
    FLUSHALL x
    FLUSHDB SYNC x
    FLUSHDB async
    FLUSHALL
    DBSIZE
    RANDOMKEY`,
  transactions: `
    MULTI
    SET a 1
    INCR a
    LPUSH a x
    GET a
    EXEC
    MULTI
    NONSENSE
    SET a 5
    EXEC
    GET a
    MULTI
    GET
    EXEC
    MULTI
    EXEC x
    EXEC
    MULTI
    SET a 9
    DISCARD
    GET a
    EXEC
    DISCARD
    WATCH a
    SET a 3
    MULTI
    GET a
    UNWATCH
    WATCH
    DISCARD
    WATCH a
    UNWATCH
    SET a 4
    MULTI
    GET a
    EXEC
    MULTI
    EXEC`,
  pubsub: `
    PUBLISH nobody x
    PUBSUB CHANNELS
    PUBSUB NUMSUB a b
    PUBSUB NUMPAT
    PUBSUB NONSENSE
    SUBSCRIBE
    SUBSCRIBE a b
    PSUBSCRIBE a*
    PING
    PING x
    UNSUBSCRIBE b
    GET x
    PUNSUBSCRIBE
    UNSUBSCRIBE
    UNSUBSCRIBE
    UNSUBSCRIBE none
    PING`,
};

/** Texts that are no requests: each goes over a connection of its own, which the server ends. */
export const BROKEN: readonly string[] = [
  "*x\r\n",
  "*1\r\n$-5\r\nx\r\n",
  "*1\r\n$x\r\n",
  "*99999999999\r\n",
  "*1\r\n$99999999999\r\n",
  "*1\r\n$-1\r\n",
  "*1\r\n:4\r\n",
  "*1\r\n*1\r\n$4\r\nPING\r\n",
  "*1\r\nPING\r\n",
  'GET "a\r\n',
];

/** Unusual requests that are answered. */
export const UNUSUAL: readonly string[] = [
  "\r\n\r\nPING\r\n",
  "PING\n",
  "*0\r\nPING\r\n",
  // A user who types has no types.
  ...["$4", ":5", "+OK", "-ERR", "#t", "_", ",5", "(5", "!1", "=1", "%1", "~1", ">1", "|1"].map((
    word,
  ) => `${word} x\r\nPING\r\n`),
  "PING\f\r\nPING\v x\r\n\fPING\r\n",
  "*2\r\n$5\r\nFO\r\nO\r\n$3\r\nx\ry\r\n",
  "*-1\r\nPING\r\n",
  "  SET  spaced   out  \r\nGET spaced\r\n",
  "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
  "*2\r\n$4\r\nECHO\r\n$4\r\n\0\r\n\xff\r\n",
  "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nPING\r\n",
];
