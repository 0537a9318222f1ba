-- Double entry. A transfer is never changed; a correction is a new transfer. Its entries sum to zero, so the
-- whole ledger does. A positive entry adds to the account.
-- Rows that every call writes refer to accounts and merchants without a foreign key: its check share-locks the
-- row that is referred to, and all settlements of the installation would meet on the one of revenue. The audit
-- of the books looks for what such a key would refuse.

-- `prepaid`: what a merchant has with us; `posted` and `held` are kept here because admission reads them.
-- `revenue` and `cash` keep neither (many writers would queue on one row): their balance is their entries.
CREATE TABLE accounts (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  name        TEXT   NOT NULL CONSTRAINT accounts_name_unique UNIQUE,
  kind        TEXT   NOT NULL CONSTRAINT accounts_kind CHECK (kind IN ('prepaid', 'revenue', 'cash')),
  merchant_id BIGINT CONSTRAINT accounts_merchant_unique UNIQUE REFERENCES merchants (id),
  currency    TEXT   NOT NULL,
  posted      BIGINT NOT NULL DEFAULT 0,
  held        BIGINT NOT NULL DEFAULT 0,
  credit      BIGINT NOT NULL DEFAULT 0,
  CONSTRAINT accounts_held_positive CHECK (held >= 0),
  CONSTRAINT accounts_not_overdrawn CHECK (posted - held + credit >= 0)
);

-- `id` is made by whoever moves the money, from call, leg, kind and step: a repeat is refused by the key.
CREATE TABLE transfers (
  id      TEXT   NOT NULL CONSTRAINT transfers_once PRIMARY KEY,
  kind    TEXT   NOT NULL,
  call_id BIGINT,
  leg_no  BIGINT,
  at      BIGINT NOT NULL,
  note    TEXT   NOT NULL
);
CREATE INDEX transfers_by_call ON transfers (call_id);

CREATE TABLE entries (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  transfer_id TEXT   NOT NULL,
  account_id  BIGINT NOT NULL,
  amount      BIGINT NOT NULL CONSTRAINT entries_not_zero CHECK (amount <> 0),
  CONSTRAINT entries_once UNIQUE (transfer_id, account_id)
);
CREATE INDEX entries_by_account ON entries (account_id, id);

-- Money set aside for talk to come: one row per (call, leg, step). Resolved exactly once: `posted` was taken,
-- the rest went back. `until_s`: talk time covered in total with it; NULL is without limit.
-- `quote` (JSON, on step 0): the price that was promised.
CREATE TABLE holds (
  call_id     BIGINT NOT NULL,
  leg_no      BIGINT NOT NULL,
  step        BIGINT NOT NULL,
  account_id  BIGINT NOT NULL,
  amount      BIGINT NOT NULL CONSTRAINT holds_positive CHECK (amount >= 0),
  until_s     BIGINT,
  quote       TEXT,
  at          BIGINT NOT NULL,
  resolved    BIGINT,
  posted      BIGINT CONSTRAINT holds_posted CHECK (posted BETWEEN 0 AND amount),
  CONSTRAINT holds_once PRIMARY KEY (call_id, leg_no, step)
);
CREATE INDEX holds_open ON holds (account_id) WHERE resolved IS NULL;
