-- The ledger is a file of its own, ledger.db, with its own writer: calls are recorded however busy this one is.
DROP TABLE calls;
DROP TABLE spans;
