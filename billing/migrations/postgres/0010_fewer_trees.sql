-- Attempts of a notification are found by the index that keeps them from being noted twice. Records outside an
-- app are never listed by app.
DROP INDEX outbox_attempts_by_row;
DROP INDEX records_by_app;
DROP INDEX records_by_hour;
CREATE INDEX records_by_app ON records (dialect, app, id) WHERE app <> '';
CREATE INDEX records_by_hour ON records (dialect, app, placed) WHERE app <> '';
