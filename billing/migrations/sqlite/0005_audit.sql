-- Who changed something by which hand, and a chain over all entries: `hash` is SHA-256 over the hash of the
-- entry before and everything in this one. Entries from before this migration have none; the first one that
-- has covers them.
ALTER TABLE applies ADD COLUMN actor TEXT NOT NULL DEFAULT '';
ALTER TABLE applies ADD COLUMN act   TEXT NOT NULL DEFAULT 'apply';
ALTER TABLE applies ADD COLUMN hash  TEXT NOT NULL DEFAULT '';
