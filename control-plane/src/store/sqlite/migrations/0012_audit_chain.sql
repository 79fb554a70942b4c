-- Each entry's hash covers the entry and the hash before it. NULL: written before this column was; the control plane computes those
-- when it opens the database, and the first entry afterwards continues from them.
ALTER TABLE audit ADD COLUMN hash BYTEA;

-- What the control plane said, under its signature, of how far audit, policy and ledger had got.
CREATE TABLE heads (
    -- Number of the newest audit entry that is covered.
    audit_last BIGINT NOT NULL PRIMARY KEY,
    -- chapar.v1.SignedHeads without the chain of its signer.
    signed     BYTEA  NOT NULL,
    -- SHA-256 of the signer's certificate.
    signer     BYTEA  NOT NULL
);

-- Whoever signed heads, once each: a chain is ten times as long as what it signs.
CREATE TABLE head_signers (
    fingerprint BYTEA NOT NULL PRIMARY KEY,
    -- chapar.v1.SignedHeads with nothing but the chain.
    chain       BYTEA NOT NULL
);

CREATE TRIGGER heads_are_never_updated BEFORE UPDATE ON heads
BEGIN SELECT RAISE(ABORT, 'signed heads are append-only'); END;
CREATE TRIGGER heads_are_never_deleted BEFORE DELETE ON heads
BEGIN SELECT RAISE(ABORT, 'signed heads are append-only'); END;
