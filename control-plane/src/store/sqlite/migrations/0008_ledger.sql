-- What sidecars reported of calls. Times of calls are Unix microseconds.

-- One row a reported span, without its events and links; the reporter is who its certificate says.
CREATE TABLE spans (
    trace_id       TEXT   NOT NULL,
    span_id        TEXT   NOT NULL,
    reporter       TEXT   NOT NULL,
    -- Empty: the trace begins here.
    parent_span_id TEXT   NOT NULL,
    name           TEXT   NOT NULL,
    -- Number of the OpenTelemetry span kind, and of the status code.
    kind           BIGINT NOT NULL,
    status         BIGINT NOT NULL,
    status_message TEXT   NOT NULL,
    started_at_us  BIGINT NOT NULL,
    duration_us    BIGINT NOT NULL,
    -- Empty: the span is not of a call.
    call_id        TEXT   NOT NULL,
    -- JSON object of texts.
    attributes     TEXT   NOT NULL,
    received_at_ms BIGINT NOT NULL,
    PRIMARY KEY (trace_id, span_id, reporter)
);
CREATE INDEX spans_by_start ON spans (started_at_us);
CREATE INDEX spans_by_call ON spans (call_id);

-- One row a call between two agencies, made of the spans of its two sides. A report that names other parties makes a row of
-- its own, so that nobody can write over what others reported.
CREATE TABLE calls (
    -- call_id/consumer/provider
    call_key      TEXT   NOT NULL PRIMARY KEY,
    call_id       TEXT   NOT NULL,
    trace_id      TEXT   NOT NULL,
    consumer      TEXT   NOT NULL,
    provider      TEXT   NOT NULL,
    inquiry       TEXT   NOT NULL,
    resolution    TEXT   NOT NULL,
    outcome       TEXT   NOT NULL,
    status        TEXT   NOT NULL,
    reason        TEXT   NOT NULL,
    started_at_us BIGINT NOT NULL,
    duration_us   BIGINT NOT NULL,
    spans         BIGINT NOT NULL,
    -- Who reported: 1 the consumer's side, 2 the provider's, 3 both.
    sides         BIGINT NOT NULL
);
-- Every list is newest first, whatever it is filtered by.
CREATE INDEX calls_by_start ON calls (started_at_us, call_key);
CREATE INDEX calls_by_consumer ON calls (consumer, started_at_us, call_key);
CREATE INDEX calls_by_provider ON calls (provider, started_at_us, call_key);
CREATE INDEX calls_by_inquiry ON calls (inquiry, started_at_us, call_key);
CREATE INDEX calls_by_outcome ON calls (outcome, started_at_us, call_key);
CREATE INDEX calls_by_status ON calls (status, started_at_us, call_key);
CREATE INDEX calls_by_id ON calls (call_id);
CREATE INDEX calls_by_trace ON calls (trace_id);
