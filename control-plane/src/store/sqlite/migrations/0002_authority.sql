-- Every root and issuing certificate that this exchange ever had. Keys are files, never rows.
CREATE TABLE authority_generations (
    -- "root-1", "issuing-1" …
    name              TEXT   NOT NULL PRIMARY KEY,
    kind              TEXT   NOT NULL CHECK (kind IN ('root', 'issuing')),
    number            BIGINT NOT NULL,
    state             TEXT   NOT NULL CHECK (state IN ('prepared', 'active', 'superseded', 'retired')),
    -- An issuing CA's root. A root's predecessor, which signed cross_certificate.
    parent            TEXT   REFERENCES authority_generations (name),
    certificate       BYTEA  NOT NULL,
    -- A root's key certified by its predecessor: who trusts only that one accepts what hangs on this one.
    cross_certificate BYTEA,
    -- Lowercase hex.
    serial            TEXT   NOT NULL,
    not_before_ms     BIGINT NOT NULL,
    not_after_ms      BIGINT NOT NULL,
    created_at_ms     BIGINT NOT NULL,
    retired_at_ms     BIGINT,
    UNIQUE (kind, number)
);
CREATE UNIQUE INDEX authority_generations_active ON authority_generations (kind) WHERE state = 'active';

-- Every leaf that was issued.
CREATE TABLE certificates (
    -- Lowercase hex, two digits a byte.
    serial            TEXT   NOT NULL PRIMARY KEY,
    spiffe_id         TEXT   NOT NULL,
    -- Null: the control plane's or an admin's.
    agency            TEXT,
    issuer            TEXT   NOT NULL REFERENCES authority_generations (name),
    -- Hex SHA-256 of the certificate.
    fingerprint       TEXT   NOT NULL,
    not_before_ms     BIGINT NOT NULL,
    not_after_ms      BIGINT NOT NULL,
    revoked_at_ms     BIGINT,
    revocation_reason TEXT
);
CREATE INDEX certificates_by_agency ON certificates (agency, not_after_ms);
CREATE INDEX certificates_by_issuer ON certificates (issuer, not_after_ms);
CREATE INDEX certificates_revoked ON certificates (not_after_ms) WHERE revoked_at_ms IS NOT NULL;
