-- Lists of numbers that policies name: digits of E.164 in order, one a line; first digits and patterns as JSON lists of
-- text (facts::policy::NumberList).
CREATE TABLE number_lists (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  name     TEXT   NOT NULL,
  numbers  TEXT   NOT NULL DEFAULT '',
  prefixes TEXT   NOT NULL DEFAULT '[]',
  patterns TEXT   NOT NULL DEFAULT '[]',
  managed  BIGINT NOT NULL DEFAULT 0,
  CONSTRAINT number_lists_name UNIQUE (name)
);

-- Which numbers may be rung, when and how often (facts::policy::Rule, as one JSON object).
CREATE TABLE policies (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  name    TEXT   NOT NULL,
  enabled BIGINT NOT NULL DEFAULT 1,
  rule    TEXT   NOT NULL,
  managed BIGINT NOT NULL DEFAULT 0,
  CONSTRAINT policies_name UNIQUE (name)
);

-- Numbers that were rung and are counted: by what counts them together (facts::ledger::Cap), of which leg, when, and until
-- when that matters.
CREATE TABLE rung (
  counter TEXT   NOT NULL,
  number  TEXT   NOT NULL,
  call_id BIGINT NOT NULL,
  leg_no  BIGINT NOT NULL,
  at      BIGINT NOT NULL,
  until   BIGINT NOT NULL,
  CONSTRAINT rung_once PRIMARY KEY (counter, number, call_id, leg_no)
) WITHOUT ROWID;
CREATE INDEX rung_by_call ON rung (call_id);
CREATE INDEX rung_by_age ON rung (until);
