-- Sidecars that were ever connected, for the admin's list. Where they are reached is in the registry.
CREATE TABLE sidecars (
    spiffe_id             TEXT   NOT NULL PRIMARY KEY,
    agency                TEXT   NOT NULL,
    -- When it connected, or left, last.
    seen_at_ms            BIGINT NOT NULL,
    software_version      TEXT   NOT NULL,
    sent_revision         BIGINT NOT NULL,
    acknowledged_revision BIGINT NOT NULL,
    -- Of the policy in the snapshot that it acknowledged last.
    policy_version        BIGINT NOT NULL,
    -- Why it refused the last snapshot; empty when it did not.
    problem               TEXT   NOT NULL
);
