-- Calls: the journal while they live, one record and one CDR per attempted leg for ever.

-- A call from its authorization. `command` is JSON; `alive` is the last checkpoint.
CREATE TABLE calls (
  id          BIGINT NOT NULL CONSTRAINT calls_once PRIMARY KEY,
  merchant_id BIGINT NOT NULL,
  state       TEXT   NOT NULL CONSTRAINT calls_state CHECK (state IN ('open', 'settled')),
  command     TEXT   NOT NULL,
  placed      BIGINT NOT NULL,
  alive       BIGINT NOT NULL
);
CREATE INDEX calls_open ON calls (id) WHERE state = 'open';

-- The legs of open calls as last journaled: facts (JSON) and what a BYE needs after a restart.
CREATE TABLE call_legs (
  call_id BIGINT NOT NULL,
  leg_no  BIGINT NOT NULL,
  facts   TEXT   NOT NULL,
  dialog  BLOB,
  written BIGINT NOT NULL,
  CONSTRAINT call_legs_once PRIMARY KEY (call_id, leg_no)
);

-- What makes a request repeatable, for thirty days.
CREATE TABLE request_keys (
  merchant_id BIGINT NOT NULL,
  dialect     TEXT   NOT NULL,
  request     TEXT   NOT NULL,
  fingerprint TEXT   NOT NULL,
  call_id     BIGINT NOT NULL,
  created     BIGINT NOT NULL,
  CONSTRAINT request_keys_once PRIMARY KEY (merchant_id, dialect, request)
);
CREATE INDEX request_keys_by_age ON request_keys (created);
CREATE INDEX request_keys_by_call ON request_keys (call_id);

-- One record per call. `id` rises in the order of settlement within a merchant.
CREATE TABLE records (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  call_id     BIGINT NOT NULL CONSTRAINT records_once UNIQUE,
  merchant_id BIGINT NOT NULL,
  dialect     TEXT   NOT NULL,
  app         TEXT   NOT NULL,
  placed      BIGINT NOT NULL,
  settled     BIGINT NOT NULL,
  record      TEXT   NOT NULL
);
CREATE INDEX records_by_app ON records (dialect, app, id);
CREATE INDEX records_by_hour ON records (dialect, app, placed);

-- One CDR per leg that was attempted. `facts` (JSON) is everything known; the columns are for reports.
CREATE TABLE cdrs (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  call_id         BIGINT NOT NULL,
  leg_no          BIGINT NOT NULL,
  merchant_id     BIGINT NOT NULL,
  sub_account_id  BIGINT,
  dialect         TEXT   NOT NULL,
  app             TEXT   NOT NULL,
  number          TEXT   NOT NULL,
  trunk           TEXT   NOT NULL,
  invited         BIGINT NOT NULL,
  answered        BIGINT,
  ended           BIGINT,
  sip_final       BIGINT,
  q850            BIGINT,
  seconds         BIGINT NOT NULL,
  prefix          TEXT   NOT NULL,
  charged_seconds BIGINT NOT NULL,
  price           BIGINT NOT NULL,
  currency        TEXT   NOT NULL,
  settled         BIGINT NOT NULL,
  facts           TEXT   NOT NULL,
  CONSTRAINT cdrs_once UNIQUE (call_id, leg_no)
);
CREATE INDEX cdrs_by_merchant ON cdrs (merchant_id, id);
