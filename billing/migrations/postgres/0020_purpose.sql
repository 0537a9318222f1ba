-- What a call was asked for (facts::Purpose): records are listed by it.
ALTER TABLE records ADD COLUMN purpose TEXT NOT NULL DEFAULT 'callback';
DROP INDEX records_by_app;
DROP INDEX records_by_hour;
CREATE INDEX records_by_app ON records (dialect, app, purpose, id) WHERE app <> '';
CREATE INDEX records_by_hour ON records (dialect, app, purpose, placed) WHERE app <> '';
-- The language in which an app's codes are said; NULL: its merchant's. Whether their records tell what was heard.
ALTER TABLE ytx_apps ADD COLUMN language TEXT;
ALTER TABLE ytx_apps ADD COLUMN code_state BIGINT NOT NULL DEFAULT 1;
