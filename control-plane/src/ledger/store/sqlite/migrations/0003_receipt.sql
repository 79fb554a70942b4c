-- Keys of calls are by receipt from now on. What claimed to have begun a day or more from when it came in goes to where it came in;
-- the lower half of each millisecond's numbers is the writer's.
CREATE TEMP TABLE misplaced AS
    SELECT k.id AS old, f.received_at_ms * 2048000 + 1024000 + f.id % 1024000 AS new
    FROM calls k JOIN (SELECT call, MIN(id) AS id, MIN(received_at_ms) AS received_at_ms FROM spans WHERE call IS NOT NULL GROUP BY call) f
        ON f.call = k.id
    WHERE ABS((k.id >> 11) - f.received_at_ms * 1000) > 86400000000;
INSERT OR IGNORE INTO unsummed SELECT (old >> 11) / 3600000000 FROM misplaced UNION SELECT (new >> 11) / 3600000000 FROM misplaced;
UPDATE OR IGNORE calls SET id = (SELECT new FROM misplaced WHERE old = calls.id) WHERE id IN (SELECT old FROM misplaced);
UPDATE spans SET call = (SELECT new FROM misplaced WHERE old = spans.call)
    WHERE call IN (SELECT old FROM misplaced WHERE old NOT IN (SELECT id FROM calls));
UPDATE OR IGNORE subjects SET call = (SELECT new FROM misplaced WHERE old = subjects.call)
    WHERE call IN (SELECT old FROM misplaced WHERE old NOT IN (SELECT id FROM calls));
DROP TABLE misplaced;

-- What is to be said of a call besides what its accounts say, as bits: 1 a claimed time is not to be believed, 2 the two accounts
-- disagree, 4 no grant was in force for what it claims.
ALTER TABLE calls ADD COLUMN marks INTEGER NOT NULL DEFAULT 0;
-- How either side says that it ended, as a word. 0: it has said nothing, or the row is older than this column.
ALTER TABLE calls ADD COLUMN consumer_outcome INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN provider_outcome INTEGER NOT NULL DEFAULT 0;
-- Bytes that its accounts take here; of older rows about as many as they take.
ALTER TABLE calls ADD COLUMN bytes INTEGER NOT NULL DEFAULT 1800;
CREATE INDEX calls_marked ON calls (marks) WHERE marks <> 0;

-- What each agency takes of the ledger. A call is charged to its consumer once that has reported it, and to its provider until then; a
-- call of no known consumer to nobody, which is the empty word.
CREATE TABLE shares (
    agency      INTEGER PRIMARY KEY,
    spans       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    -- Of spans that are of no call.
    other_bytes INTEGER NOT NULL,
    -- Words and chains that it was the first to name.
    words       INTEGER NOT NULL,
    chains      INTEGER NOT NULL,
    -- Below this key no call is left that only a provider has reported.
    swept       INTEGER NOT NULL
) STRICT;
INSERT INTO shares
    SELECT CASE WHEN sides & 1 OR consumer IN (SELECT id FROM words WHERE word = '') THEN consumer ELSE provider END AS agency,
        SUM(spans), SUM(bytes), 0, 0, 0, 0
    FROM calls GROUP BY agency;
-- The claims of what is here already are not looked into.
INSERT INTO marks SELECT 'claims', MAX(id) FROM spans HAVING MAX(id) IS NOT NULL;
