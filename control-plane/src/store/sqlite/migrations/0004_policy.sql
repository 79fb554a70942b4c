-- The policy with all its versions. A row says what a resource was from one version up to, and without, another: so every version
-- can be read, compared and brought back, and an unchanged resource costs a new version nothing.
CREATE TABLE policy_versions (
    version        BIGINT NOT NULL PRIMARY KEY,
    created_at_ms  BIGINT NOT NULL,
    created_by     TEXT   NOT NULL,
    reason         TEXT   NOT NULL,
    created        BIGINT NOT NULL,
    changed        BIGINT NOT NULL,
    deleted        BIGINT NOT NULL,
    -- Set when the version brought an old one's content back.
    rolled_back_to BIGINT,
    -- Distribution revision that carried it to the sidecars.
    revision       BIGINT NOT NULL
);

CREATE TABLE policy_resources (
    kind         TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    from_version BIGINT NOT NULL REFERENCES policy_versions (version),
    -- First version that no longer has it so. NULL: it is so now.
    to_version   BIGINT REFERENCES policy_versions (version),
    -- JSON.
    body         TEXT   NOT NULL,
    PRIMARY KEY (kind, name, from_version)
);
CREATE UNIQUE INDEX policy_resources_now ON policy_resources (kind, name) WHERE to_version IS NULL;
CREATE INDEX policy_resources_by_end ON policy_resources (to_version);

-- Who changed what and when stays as it was written: not even a mistake in this program changes it.
CREATE TRIGGER policy_versions_are_never_updated BEFORE UPDATE ON policy_versions
BEGIN SELECT RAISE(ABORT, 'policy versions are append-only'); END;
CREATE TRIGGER policy_versions_are_never_deleted BEFORE DELETE ON policy_versions
BEGIN SELECT RAISE(ABORT, 'policy versions are append-only'); END;
CREATE TRIGGER policy_resources_only_end BEFORE UPDATE ON policy_resources
WHEN OLD.to_version IS NOT NULL OR NEW.to_version IS NULL OR NEW.body <> OLD.body
    OR NEW.kind <> OLD.kind OR NEW.name <> OLD.name OR NEW.from_version <> OLD.from_version
BEGIN SELECT RAISE(ABORT, 'a resource of a policy version can only end'); END;
CREATE TRIGGER policy_resources_are_never_deleted BEFORE DELETE ON policy_resources
BEGIN SELECT RAISE(ABORT, 'the resources of policy versions are kept'); END;
