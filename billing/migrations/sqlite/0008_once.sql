-- Units of work that may be repeated when the answer to their commit was lost, and what tells a repeat from
-- something new: an attempt by the lease it was made under (`leases` counts those of a row and is never set
-- back), a registration and an entry of the audit trail by an id that the caller drew.
ALTER TABLE outbox ADD COLUMN leases BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outbox_attempts ADD COLUMN lease BIGINT NOT NULL DEFAULT 0;
-- Attempts from before have no lease: numbers of their own, below those of leases.
UPDATE outbox_attempts SET lease = -id;
CREATE UNIQUE INDEX outbox_attempts_once ON outbox_attempts (outbox_id, lease);
ALTER TABLE sub_accounts ADD COLUMN once TEXT;
CREATE UNIQUE INDEX sub_accounts_by_once ON sub_accounts (once);
ALTER TABLE applies ADD COLUMN once TEXT;
CREATE UNIQUE INDEX applies_once ON applies (once);
