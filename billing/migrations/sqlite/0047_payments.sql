-- What menus of merchants have paid (system 003). Amounts are rials.

-- Who may ask what was paid (GetPayments). `password`: a salted hash. `strict`: the merchant's invoices are digits only.
CREATE TABLE ussd_owners (
  username    TEXT   NOT NULL PRIMARY KEY,
  password    TEXT   NOT NULL,
  merchant_id BIGINT NOT NULL REFERENCES merchants (id),
  strict      BIGINT NOT NULL DEFAULT 0,
  active      BIGINT NOT NULL DEFAULT 1,
  managed     BIGINT NOT NULL DEFAULT 0
);

-- Where invoices are paid. `account` and `secret` are the gateway's; `hook_secret` signs what it tells by itself.
-- `currency` and `rials_per_unit`: of a gateway that knows no rials, and how many of them its smallest unit is.
CREATE TABLE payment_gateways (
  name           TEXT   NOT NULL PRIMARY KEY,
  kind           TEXT   NOT NULL,
  title          TEXT   NOT NULL,
  enabled        BIGINT NOT NULL DEFAULT 1,
  account        TEXT   NOT NULL,
  secret         TEXT   NOT NULL,
  hook_secret    TEXT   NOT NULL,
  currency       TEXT   NOT NULL,
  rials_per_unit BIGINT NOT NULL,
  url            TEXT   NOT NULL,
  managed        BIGINT NOT NULL DEFAULT 0
);

-- By which short messages leave. `headers` and `body`: as the gateway wants them, `{to}`, `{from}` and `{text}` filled in.
CREATE TABLE sms_gateways (
  name    TEXT   NOT NULL PRIMARY KEY,
  url     TEXT   NOT NULL,
  sender  TEXT   NOT NULL,
  headers TEXT   NOT NULL,
  body    TEXT   NOT NULL,
  accept  TEXT   NOT NULL,
  enabled BIGINT NOT NULL DEFAULT 1,
  managed BIGINT NOT NULL DEFAULT 0
);

-- `mobile`, `session` and `call` are what the page was told in the step that asked; `subscriber` is who pays (E.164
-- digits). `trial`: the merchant tries it out, no money and no message leaves. `notices`: how often the link was sent.
CREATE TABLE ussd_invoices (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  merchant_id BIGINT NOT NULL,
  code        TEXT   NOT NULL,
  page        TEXT   NOT NULL,
  language    TEXT   NOT NULL,
  session     BIGINT NOT NULL,
  subscriber  TEXT   NOT NULL,
  mobile      TEXT   NOT NULL,
  call        TEXT   NOT NULL,
  factor      TEXT   NOT NULL,
  rials       BIGINT NOT NULL CONSTRAINT ussd_invoices_positive CHECK (rials > 0),
  trial       BIGINT NOT NULL,
  token       TEXT   NOT NULL CONSTRAINT ussd_invoices_token UNIQUE,
  state       TEXT   NOT NULL CONSTRAINT ussd_invoices_state
    CHECK (state IN ('open', 'paid', 'cancelled', 'expired', 'refunding', 'refunded')),
  notices     BIGINT NOT NULL,
  made        BIGINT NOT NULL,
  expires     BIGINT NOT NULL,
  closed      BIGINT,
  gateway     TEXT,
  reference   TEXT,
  rrn         TEXT,
  refunds     BIGINT NOT NULL DEFAULT 0
);
-- An invoice of the merchant's is paid once.
CREATE UNIQUE INDEX ussd_invoices_once ON ussd_invoices (merchant_id, trial, factor)
  WHERE state IN ('open', 'paid', 'refunding');
CREATE INDEX ussd_invoices_by_merchant ON ussd_invoices (merchant_id, id);
CREATE INDEX ussd_invoices_open ON ussd_invoices (expires) WHERE state = 'open';
CREATE INDEX ussd_invoices_refunding ON ussd_invoices (id) WHERE state = 'refunding';

-- Each way to a gateway. `amount`: in the gateway's own unit. `due`: when it is asked next what became of it.
-- `rrn`: of a payment at the gateway for tests, once somebody has pressed its button.
CREATE TABLE ussd_attempts (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  invoice_id BIGINT NOT NULL REFERENCES ussd_invoices (id),
  gateway    TEXT   NOT NULL,
  reference  TEXT   NOT NULL,
  url        TEXT   NOT NULL,
  amount     BIGINT NOT NULL,
  currency   TEXT   NOT NULL,
  state      TEXT   NOT NULL CONSTRAINT ussd_attempts_state
    CHECK (state IN ('pending', 'paid', 'failed', 'odd')),
  said       TEXT   NOT NULL DEFAULT '',
  rrn        TEXT,
  made       BIGINT NOT NULL,
  due        BIGINT NOT NULL,
  CONSTRAINT ussd_attempts_reference UNIQUE (gateway, reference)
);
CREATE UNIQUE INDEX ussd_attempts_one ON ussd_attempts (invoice_id) WHERE state = 'pending';
CREATE INDEX ussd_attempts_due ON ussd_attempts (due) WHERE state = 'pending';
CREATE INDEX ussd_attempts_by_invoice ON ussd_attempts (invoice_id, id);

-- Double entry: what is posted at one time for an invoice sums to zero.
CREATE TABLE ussd_entries (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  invoice_id BIGINT NOT NULL REFERENCES ussd_invoices (id),
  posting    TEXT   NOT NULL,
  account    TEXT   NOT NULL,
  rials      BIGINT NOT NULL,
  at         BIGINT NOT NULL,
  CONSTRAINT ussd_entries_once UNIQUE (invoice_id, posting, account)
);
CREATE INDEX ussd_entries_by_account ON ussd_entries (account, id);

-- Short messages to be sent. `once`: what it tells, so that it is told once.
CREATE TABLE sms (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  merchant_id BIGINT NOT NULL,
  once        TEXT   NOT NULL CONSTRAINT sms_once UNIQUE,
  recipient   TEXT   NOT NULL,
  text        TEXT   NOT NULL,
  parts       BIGINT NOT NULL,
  state       TEXT   NOT NULL CONSTRAINT sms_state CHECK (state IN ('pending', 'sent', 'failed')),
  tries       BIGINT NOT NULL DEFAULT 0,
  lease       BIGINT NOT NULL DEFAULT 0,
  due         BIGINT NOT NULL,
  made        BIGINT NOT NULL,
  said        TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX sms_due ON sms (due) WHERE state = 'pending';
CREATE INDEX sms_by_age ON sms (made);
