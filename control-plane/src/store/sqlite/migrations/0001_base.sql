-- Times are Unix milliseconds, UTC. The statements run on SQLite and, but for the triggers, on PostgreSQL.

-- One row a fact of the whole store.
CREATE TABLE meta (
    key   TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
-- Grows with everything that some sidecar's snapshot may have to show.
INSERT INTO meta (key, value) VALUES ('revision', 0);

-- Who takes part. The registry writes names, titles and roles as policy is applied; only the suspension is written elsewhere.
CREATE TABLE agencies (
    name              TEXT   NOT NULL PRIMARY KEY,
    title_fa          TEXT   NOT NULL,
    title_en          TEXT   NOT NULL,
    -- JSON array of strings.
    roles             TEXT   NOT NULL,
    part_of           TEXT,
    -- Set: the agency is no longer in the policy; kept for what refers to it.
    removed_at_ms     BIGINT,
    suspended_at_ms   BIGINT,
    suspension_reason TEXT
);

CREATE TABLE audit (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_ms     BIGINT  NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    object    TEXT    NOT NULL,
    succeeded BIGINT  NOT NULL,
    reason    TEXT    NOT NULL,
    -- JSON object.
    details   TEXT    NOT NULL
);
CREATE INDEX audit_by_actor ON audit (actor, id);
CREATE INDEX audit_by_action ON audit (action, id);
CREATE INDEX audit_by_object ON audit (object, id);

-- The audit can be read and appended to, never changed: not even by a mistake in this program.
CREATE TRIGGER audit_is_never_updated BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
