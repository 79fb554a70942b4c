-- How far the ledger has got, and the hash over all that came in: it grows with every write, and with nothing else.
CREATE TABLE head (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    -- Number of the newest span that ever was.
    number INTEGER NOT NULL,
    hash   BLOB    NOT NULL
) STRICT;

-- Those that were signed and handed to sidecars.
CREATE TABLE signed_heads (
    number INTEGER PRIMARY KEY,
    hash   BLOB NOT NULL
) STRICT;
