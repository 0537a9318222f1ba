-- Fewer trees for every call to write. A primary key that is not INTEGER is to SQLite a second tree beside the
-- table's own: a call's number becomes the place of its row, and rows that are only sought by their key live in
-- the key's tree. Attempts of a notification are found by the index that keeps them from being noted twice.
-- Records outside an app are never listed by app.
ALTER TABLE calls RENAME TO old_calls;
CREATE TABLE calls (
  id          INTEGER NOT NULL CONSTRAINT calls_once PRIMARY KEY,
  merchant_id BIGINT NOT NULL,
  state       TEXT   NOT NULL CONSTRAINT calls_state CHECK (state IN ('open', 'settled')),
  command     TEXT   NOT NULL,
  placed      BIGINT NOT NULL,
  alive       BIGINT NOT NULL
);
INSERT INTO calls SELECT id, merchant_id, state, command, placed, alive FROM old_calls ORDER BY id;
DROP TABLE old_calls;
CREATE INDEX calls_open ON calls (id) WHERE state = 'open';

ALTER TABLE call_legs RENAME TO old_call_legs;
CREATE TABLE call_legs (
  call_id BIGINT NOT NULL,
  leg_no  BIGINT NOT NULL,
  facts   TEXT   NOT NULL,
  dialog  BLOB,
  written BIGINT NOT NULL,
  CONSTRAINT call_legs_once PRIMARY KEY (call_id, leg_no)
) WITHOUT ROWID;
INSERT INTO call_legs SELECT call_id, leg_no, facts, dialog, written FROM old_call_legs ORDER BY 1, 2;
DROP TABLE old_call_legs;

ALTER TABLE holds RENAME TO old_holds;
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
) WITHOUT ROWID;
INSERT INTO holds SELECT call_id, leg_no, step, account_id, amount, until_s, quote, at, resolved, posted
  FROM old_holds ORDER BY 1, 2, 3;
DROP TABLE old_holds;

ALTER TABLE transfers RENAME TO old_transfers;
CREATE TABLE transfers (
  id      TEXT   NOT NULL CONSTRAINT transfers_once PRIMARY KEY,
  kind    TEXT   NOT NULL,
  call_id BIGINT,
  leg_no  BIGINT,
  at      BIGINT NOT NULL,
  note    TEXT   NOT NULL
) WITHOUT ROWID;
INSERT INTO transfers SELECT id, kind, call_id, leg_no, at, note FROM old_transfers ORDER BY id;
DROP TABLE old_transfers;

ALTER TABLE request_keys RENAME TO old_request_keys;
CREATE TABLE request_keys (
  merchant_id BIGINT NOT NULL,
  dialect     TEXT   NOT NULL,
  request     TEXT   NOT NULL,
  fingerprint TEXT   NOT NULL,
  call_id     BIGINT NOT NULL,
  created     BIGINT NOT NULL,
  CONSTRAINT request_keys_once PRIMARY KEY (merchant_id, dialect, request)
) WITHOUT ROWID;
INSERT INTO request_keys SELECT merchant_id, dialect, request, fingerprint, call_id, created
  FROM old_request_keys ORDER BY 1, 2, 3;
DROP TABLE old_request_keys;
CREATE INDEX request_keys_by_age ON request_keys (created);

DROP INDEX outbox_attempts_by_row;

DROP INDEX records_by_app;
DROP INDEX records_by_hour;
CREATE INDEX records_by_app ON records (dialect, app, id) WHERE app <> '';
CREATE INDEX records_by_hour ON records (dialect, app, placed) WHERE app <> '';
