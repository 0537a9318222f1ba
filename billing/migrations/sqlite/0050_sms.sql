-- Short messages by several ways, with receipts, and those that come in.

-- `sender`: what it comes from; empty: as the gateway's settings say. `way`: by which it left. `price`: taken from the
-- merchant, in millionths. `until`: nobody wants it any more from then on. `text` is emptied once nobody sends it any more.
CREATE TABLE sms_new (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  merchant_id BIGINT NOT NULL,
  once        TEXT   NOT NULL CONSTRAINT sms_once UNIQUE,
  sender      TEXT   NOT NULL DEFAULT '',
  recipient   TEXT   NOT NULL,
  text        TEXT   NOT NULL,
  parts       BIGINT NOT NULL,
  state       TEXT   NOT NULL CONSTRAINT sms_state
    CHECK (state IN ('pending', 'sent', 'delivered', 'undelivered', 'failed')),
  way         TEXT   NOT NULL DEFAULT '',
  price       BIGINT NOT NULL DEFAULT 0,
  until       BIGINT NOT NULL,
  tries       BIGINT NOT NULL DEFAULT 0,
  lease       BIGINT NOT NULL DEFAULT 0,
  due         BIGINT NOT NULL,
  made        BIGINT NOT NULL,
  said        TEXT   NOT NULL DEFAULT ''
);
INSERT INTO sms_new (id, merchant_id, once, recipient, text, parts, state, way, until, tries, lease, due, made,
  said)
  SELECT id, merchant_id, once, recipient, CASE WHEN state = 'pending' THEN text ELSE '' END, parts, state,
    CASE WHEN state = 'sent' THEN 'http' ELSE '' END, made + 86400000, tries, lease, due, made, said FROM sms;
DROP TABLE sms;
ALTER TABLE sms_new RENAME TO sms;
-- What is wanted for the shortest time goes first.
CREATE INDEX sms_due ON sms (until, id, due) WHERE state = 'pending';
CREATE INDEX sms_waiting ON sms (merchant_id) WHERE state = 'pending';
CREATE INDEX sms_by_age ON sms (made);

-- Parts as the network calls them. Without `sms_id`: a receipt that came before it was known what it is of.
CREATE TABLE sms_parts (
  link      TEXT   NOT NULL,
  reference TEXT   NOT NULL,
  sms_id    BIGINT,
  state     TEXT   NOT NULL CONSTRAINT sms_parts_state CHECK (state IN ('sent', 'delivered', 'undelivered')),
  word      TEXT   NOT NULL DEFAULT '',
  at        BIGINT NOT NULL,
  PRIMARY KEY (link, reference)
);
CREATE INDEX sms_parts_by_sms ON sms_parts (sms_id);
CREATE INDEX sms_parts_by_age ON sms_parts (at);

-- Messages that somebody wrote to us. `merchant_id`: whose keyword it bears, if anybody's. `account`: the sub-account that
-- it made or found; `state`: how that sign-up stands. `seen`: when it came last; a line may bring it again.
CREATE TABLE sms_in (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  link        TEXT   NOT NULL,
  once        TEXT   NOT NULL,
  merchant_id BIGINT,
  sender      TEXT   NOT NULL,
  number      TEXT   NOT NULL,
  keyword     TEXT   NOT NULL,
  purpose     TEXT   NOT NULL,
  text        TEXT   NOT NULL,
  account     TEXT,
  state       TEXT   NOT NULL DEFAULT '',
  at          BIGINT NOT NULL,
  seen        BIGINT NOT NULL,
  CONSTRAINT sms_in_once UNIQUE (link, once)
);
CREATE INDEX sms_in_by_sender ON sms_in (sender, at);
CREATE INDEX sms_in_by_age ON sms_in (at);

-- What is written to a number, and whose it is. An empty keyword: whatever bears none of the others.
CREATE TABLE sms_keywords (
  number      TEXT   NOT NULL,
  keyword     TEXT   NOT NULL,
  merchant_id BIGINT NOT NULL REFERENCES merchants (id),
  purpose     TEXT   NOT NULL,
  approved    BIGINT NOT NULL DEFAULT 0,
  language    TEXT   NOT NULL,
  managed     BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (number, keyword)
);

-- Who may send by the vendor's doors. `password`: a salted hash; `token`: the digest of it, `lines`: JSON.
CREATE TABLE sms_accounts (
  username    TEXT   NOT NULL PRIMARY KEY,
  merchant_id BIGINT NOT NULL REFERENCES merchants (id),
  password    TEXT   NOT NULL,
  token       TEXT   NOT NULL,
  company     TEXT   NOT NULL,
  lines       TEXT   NOT NULL,
  active      BIGINT NOT NULL DEFAULT 1,
  managed     BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX sms_accounts_token ON sms_accounts (token) WHERE token <> '';

-- Where gateways tell by HTTP what came in and what became of what left. `secret`: its digest; `fields`: JSON.
CREATE TABLE sms_hooks (
  name    TEXT   NOT NULL PRIMARY KEY,
  secret  TEXT   NOT NULL,
  fields  TEXT   NOT NULL,
  managed BIGINT NOT NULL DEFAULT 0
);

-- `ways`: in which order they are tried, a line each. `reference`: where the gateway's answer names the message.
-- `bad_words`: what the vendor's doors send no text with, a line each.
ALTER TABLE sms_gateways ADD COLUMN ways TEXT NOT NULL DEFAULT 'http';
ALTER TABLE sms_gateways ADD COLUMN reference TEXT NOT NULL DEFAULT '';
ALTER TABLE sms_gateways ADD COLUMN bad_words TEXT NOT NULL DEFAULT '';

-- What the page answers to the visit that tells it of a payment is sent to the subscriber.
ALTER TABLE ussd_codes ADD COLUMN sms_receipt BIGINT NOT NULL DEFAULT 0;
