-- The ledger's file. Times of calls are Unix microseconds unless a name says otherwise.

-- Names that recur (agencies, inquiries, resolutions, statuses, reporters), once each: rows and indexes hold their numbers.
CREATE TABLE words (
    id   INTEGER PRIMARY KEY,
    word TEXT NOT NULL UNIQUE
) STRICT;

-- One row a call between two agencies, made of the accounts of its two sides. A report that names other parties makes a row of its
-- own, so that nobody can write over what others reported.
CREATE TABLE calls (
    -- Start in microseconds, times 2048, plus eleven bits of the call ID: the order of time is the order of the rows, and every
    -- index of one column lists newest first without a second key.
    id             INTEGER PRIMARY KEY,
    call_id        BLOB    NOT NULL,
    trace_id       BLOB    NOT NULL,
    consumer       INTEGER NOT NULL,
    provider       INTEGER NOT NULL,
    inquiry        INTEGER NOT NULL,
    kind           INTEGER NOT NULL,
    resolution     INTEGER NOT NULL,
    outcome        INTEGER NOT NULL,
    status         INTEGER NOT NULL,
    reason         INTEGER NOT NULL,
    started_at_us  INTEGER NOT NULL,
    duration_us    INTEGER NOT NULL,
    -- Quarter octaves of the duration: "longer than" reads a few runs of this index.
    duration_class INTEGER NOT NULL,
    request_bytes  INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    spans          INTEGER NOT NULL,
    -- Who reported: 1 the consumer's side, 2 the provider's, 3 both.
    sides          INTEGER NOT NULL,
    -- Whose account has still to come: 1 the consumer's, 2 the provider's, 0 nobody's.
    awaited        INTEGER NOT NULL
) STRICT;
CREATE INDEX calls_by_call ON calls (call_id);
CREATE INDEX calls_by_trace ON calls (trace_id);
CREATE INDEX calls_by_consumer ON calls (consumer);
CREATE INDEX calls_by_provider ON calls (provider);
CREATE INDEX calls_by_inquiry ON calls (inquiry);
CREATE INDEX calls_by_resolution ON calls (resolution);
CREATE INDEX calls_by_outcome ON calls (outcome);
CREATE INDEX calls_by_status ON calls (status);
CREATE INDEX calls_by_duration ON calls (duration_class);
CREATE INDEX calls_awaiting ON calls (awaited) WHERE awaited <> 0;

-- One row a reported span, in the order of arrival: what is forwarded is a position in it.
CREATE TABLE spans (
    id             INTEGER PRIMARY KEY,
    reporter       INTEGER NOT NULL,
    -- The call that it accounts for. NULL: none.
    call           INTEGER,
    -- Its place in the reporter's evidence chain. NULL: it is in none.
    chain          INTEGER,
    sequence       INTEGER,
    -- Of spans that are in no chain, which are told apart by these.
    trace_id       BLOB,
    span_id        BLOB,
    received_at_ms INTEGER NOT NULL,
    -- What the body is: 0 the span as it came (OTLP), 1 an entry's canonical bytes, 2 the digest of an entry that was forgotten.
    form           INTEGER NOT NULL,
    body           BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX spans_by_place ON spans (chain, sequence) WHERE chain IS NOT NULL;
CREATE UNIQUE INDEX spans_by_id ON spans (trace_id, span_id, reporter) WHERE chain IS NULL;
CREATE INDEX spans_by_call ON spans (call) WHERE call IS NOT NULL;

-- Who a call was about, by keyed hash.
CREATE TABLE subjects (
    hash BLOB    NOT NULL,
    call INTEGER NOT NULL,
    PRIMARY KEY (hash, call)
) STRICT, WITHOUT ROWID;
CREATE INDEX subjects_by_call ON subjects (call);

-- Evidence chains; each is one reporter's for good.
CREATE TABLE chains (
    id        INTEGER PRIMARY KEY,
    chain     BLOB    NOT NULL UNIQUE,
    reporter  INTEGER NOT NULL,
    -- Highest sequence number that was stored.
    high      INTEGER NOT NULL,
    -- Entries up to and with this one were forgotten, as retention asks.
    forgotten INTEGER NOT NULL
) STRICT;

CREATE TABLE certificates (
    id  INTEGER PRIMARY KEY,
    der BLOB NOT NULL UNIQUE
) STRICT;

-- What sidecars signed of their chains.
CREATE TABLE checkpoints (
    id          INTEGER PRIMARY KEY,
    chain       INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    before      BLOB    NOT NULL,
    after       BLOB    NOT NULL,
    at_ms       INTEGER NOT NULL,
    certificate INTEGER NOT NULL,
    scheme      TEXT    NOT NULL,
    serial      TEXT    NOT NULL,
    signature   BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX checkpoints_by_place ON checkpoints (chain, last, first, after);

-- Sums of an hour that has ended, in two parts: of the calls that are here, and of those that were forgotten.
CREATE TABLE sums (
    -- Unix hours.
    hour            INTEGER NOT NULL,
    consumer        INTEGER NOT NULL,
    provider        INTEGER NOT NULL,
    inquiry         INTEGER NOT NULL,
    outcome         INTEGER NOT NULL,
    -- 1: of calls that were forgotten.
    gone            INTEGER NOT NULL,
    calls           INTEGER NOT NULL,
    request_bytes   INTEGER NOT NULL,
    response_bytes  INTEGER NOT NULL,
    duration_us     INTEGER NOT NULL,
    duration_us_max INTEGER NOT NULL,
    PRIMARY KEY (hour, consumer, provider, inquiry, outcome, gone)
) STRICT, WITHOUT ROWID;

-- Hours whose calls changed since they were summed.
CREATE TABLE unsummed (
    hour INTEGER PRIMARY KEY
) STRICT;

-- Numbers of the whole ledger, such as how far it was forwarded.
CREATE TABLE marks (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
