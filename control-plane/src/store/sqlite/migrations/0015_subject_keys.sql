-- From now on each pair of agencies has its own key. What is made here is the secret of a period, which never leaves the control plane, and of
-- which the keys of all pairs are made; what was here before is the one key of all sidecars, and stays that.
ALTER TABLE subject_keys ADD COLUMN of_pairs         BIGINT NOT NULL DEFAULT 0;
-- Calls that begin then or later are hashed with it. May lie ahead, so that every sidecar has it by then.
ALTER TABLE subject_keys ADD COLUMN in_force_from_ms BIGINT NOT NULL DEFAULT 0;
-- When the one key of all sidecars was ended: by its successor or by an inspector. NULL: old sidecars still use it.
ALTER TABLE subject_keys ADD COLUMN ended_at_ms      BIGINT;
UPDATE subject_keys SET in_force_from_ms = made_at_ms,
    ended_at_ms = (SELECT MIN(s.made_at_ms) FROM subject_keys s WHERE s.id > subject_keys.id);
