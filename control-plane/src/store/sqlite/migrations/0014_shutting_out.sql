-- Rotations of the root that were asked for: a prepared root goes on by itself only when it stands here.
CREATE TABLE root_rotations (
    root        TEXT   NOT NULL PRIMARY KEY REFERENCES authority_generations (name),
    -- As the audit names them.
    asked_by    TEXT   NOT NULL,
    -- Who agreed, where two are asked for.
    second      TEXT,
    reason      TEXT   NOT NULL,
    asked_at_ms BIGINT NOT NULL,
    -- Distribution revision that carries the root to the sidecars.
    revision    BIGINT NOT NULL
);

-- Sidecars all of whose certificates were revoked: tokens from before let none of them in again.
CREATE TABLE revoked_sidecars (
    spiffe_id     TEXT   NOT NULL PRIMARY KEY,
    revoked_at_ms BIGINT NOT NULL,
    reason        TEXT   NOT NULL
);
CREATE INDEX certificates_by_identity ON certificates (spiffe_id, not_after_ms);

-- Why an issuing CA was revoked with everything under it. NULL: it was not.
ALTER TABLE authority_generations ADD COLUMN revocation_reason TEXT;
