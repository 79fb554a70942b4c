-- Technical passports, and who offers the services that they describe.

-- A passport's bytes. They name one information system, so the same bytes cannot be two agencies' passport.
CREATE TABLE descriptor_sets (
    -- Lowercase hex SHA-256 of the bytes.
    version TEXT  NOT NULL PRIMARY KEY,
    agency  TEXT  NOT NULL,
    bytes   BYTEA NOT NULL
);

-- One service of a descriptor set.
CREATE TABLE passports (
    agency             TEXT   NOT NULL,
    grpc_service       TEXT   NOT NULL,
    version            TEXT   NOT NULL REFERENCES descriptor_sets (version),
    -- 1, 2, 3 … for each service of an agency in the order of drafting.
    number             BIGINT NOT NULL,
    id                 TEXT   NOT NULL,
    state              TEXT   NOT NULL CHECK (state IN ('draft', 'submitted', 'approved', 'superseded', 'retired')),
    base_database      TEXT,
    information_system TEXT   NOT NULL,
    classification     TEXT   NOT NULL,
    created_at_ms      BIGINT NOT NULL,
    changed_at_ms      BIGINT NOT NULL,
    changed_by         TEXT   NOT NULL,
    -- Resolution that approved it; empty when none was named.
    resolution         TEXT   NOT NULL,
    PRIMARY KEY (agency, grpc_service, version)
);
CREATE UNIQUE INDEX passports_in_force ON passports (agency, grpc_service) WHERE state = 'approved';
CREATE UNIQUE INDEX passports_by_number ON passports (agency, grpc_service, number);
CREATE INDEX passports_by_version ON passports (version);
CREATE INDEX passports_by_system ON passports (information_system);

CREATE TABLE passport_inquiries (
    agency       TEXT NOT NULL,
    grpc_service TEXT NOT NULL,
    version      TEXT NOT NULL,
    method       TEXT NOT NULL,
    inquiry      TEXT NOT NULL,
    kind         TEXT NOT NULL,
    title_fa     TEXT NOT NULL,
    title_en     TEXT NOT NULL,
    PRIMARY KEY (agency, grpc_service, version, method),
    FOREIGN KEY (agency, grpc_service, version) REFERENCES passports (agency, grpc_service, version)
);
CREATE INDEX passport_inquiries_by_name ON passport_inquiries (inquiry);

-- The provider that a grant means when it names none: the one whose passport was the first to be approved with the inquiry.
-- Written once and kept, so that no later passport of another agency moves a grant.
CREATE TABLE inquiry_homes (
    inquiry     TEXT   NOT NULL PRIMARY KEY,
    provider    TEXT   NOT NULL,
    since_ms    BIGINT NOT NULL
);

-- Sidecars that offer something, and where they are reached.
CREATE TABLE registrations (
    spiffe_id        TEXT   NOT NULL PRIMARY KEY,
    agency           TEXT   NOT NULL,
    -- host:port; empty for a pure consumer.
    address          TEXT   NOT NULL,
    software_version TEXT   NOT NULL,
    -- JSON array of agencies; empty: for everyone with a grant.
    reserved_for     TEXT   NOT NULL,
    registered_at_ms BIGINT NOT NULL
);
CREATE INDEX registrations_by_agency ON registrations (agency);

CREATE TABLE registered_services (
    spiffe_id    TEXT NOT NULL REFERENCES registrations (spiffe_id) ON DELETE CASCADE,
    grpc_service TEXT NOT NULL,
    -- Passport that the sidecar offers; not always the one in force.
    version      TEXT NOT NULL,
    PRIMARY KEY (spiffe_id, grpc_service)
);
