-- Single-use enrolment tokens. Of the secret only its SHA-256 is kept: 256 random bits need no slower hash.
CREATE TABLE enrolment_tokens (
    id             TEXT   NOT NULL PRIMARY KEY,
    agency         TEXT   NOT NULL,
    -- Null: any sidecar of the agency.
    sidecar        TEXT,
    secret_sha256  BYTEA  NOT NULL,
    created_at_ms  BIGINT NOT NULL,
    expires_at_ms  BIGINT NOT NULL,
    created_by     TEXT   NOT NULL,
    used_at_ms     BIGINT,
    -- Serial of the certificate that it was exchanged for.
    used_for       TEXT,
    revoked_at_ms  BIGINT
);
CREATE INDEX enrolment_tokens_by_agency ON enrolment_tokens (agency, id);
