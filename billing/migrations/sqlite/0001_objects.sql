-- What the operator configures and merchants own. Whole numbers are 64 bits, truth is 0 or 1, instants are
-- Unix milliseconds, amounts are millionths of a currency unit, lists are JSON text.
-- `managed` marks what came from the operator's file, and may be pruned by it.

-- One row: installation-wide settings. `version` rises with every change that the engine must hear of.
-- `secret` (hex) derives the SIP passwords that biz_regist hands out, so that they need not be stored;
-- `next_number` is the next internal number it tries.
CREATE TABLE settings (
  only_row             BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
  version              BIGINT NOT NULL,
  realm                TEXT   NOT NULL,
  country              TEXT   NOT NULL,
  trunk_prefix         TEXT   NOT NULL,
  international_prefix TEXT   NOT NULL,
  short_max            BIGINT NOT NULL,
  secret               TEXT   NOT NULL,
  next_number          BIGINT NOT NULL
);

-- Price lists. `version`: the settings version of its last change, by which caches know theirs is stale.
CREATE TABLE tariffs (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  name     TEXT   NOT NULL CONSTRAINT tariffs_name_unique UNIQUE,
  currency TEXT   NOT NULL,
  decimals BIGINT NOT NULL,
  version  BIGINT NOT NULL DEFAULT 0,
  managed  BIGINT NOT NULL DEFAULT 0
);

-- Their rows. `pattern`: digits, =digits, short:digits, internal or *.
CREATE TABLE rates (
  tariff_id        BIGINT NOT NULL REFERENCES tariffs (id),
  pattern          TEXT   NOT NULL,
  connect_fee      BIGINT NOT NULL,
  first_per_minute BIGINT NOT NULL,
  per_minute       BIGINT NOT NULL,
  initial_s        BIGINT NOT NULL,
  next_s           BIGINT NOT NULL,
  minimum          BIGINT NOT NULL,
  free_s           BIGINT NOT NULL,
  CONSTRAINT rates_pattern_unique PRIMARY KEY (tariff_id, pattern)
);

-- Owners of a prepaid balance. `key` signs (system 000) and so is readable; `password` is a salted hash.
CREATE TABLE merchants (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  name             TEXT   NOT NULL CONSTRAINT merchants_name_unique UNIQUE,
  key              TEXT   NOT NULL,
  password         TEXT,
  status           TEXT   NOT NULL,
  currency         TEXT   NOT NULL,
  language         TEXT   NOT NULL,
  tariff_id        BIGINT REFERENCES tariffs (id),
  max_calls        BIGINT,
  calls_per_second BIGINT,
  max_talk_s       BIGINT NOT NULL,
  caller_id        TEXT,
  record           BIGINT NOT NULL,
  allowed_ips      TEXT   NOT NULL,
  hex_case         TEXT   NOT NULL,
  pstn_caller      BIGINT NOT NULL,
  managed          BIGINT NOT NULL DEFAULT 0
);

-- Users of a merchant; they spend its balance.
CREATE TABLE sub_accounts (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  merchant_id BIGINT NOT NULL REFERENCES merchants (id),
  name        TEXT   NOT NULL,
  realname    TEXT   NOT NULL,
  email       TEXT   NOT NULL,
  enabled     BIGINT NOT NULL,
  created     BIGINT NOT NULL DEFAULT 0,
  managed     BIGINT NOT NULL DEFAULT 0,
  CONSTRAINT sub_accounts_name_unique UNIQUE (merchant_id, name)
);
CREATE INDEX sub_accounts_by_person ON sub_accounts (merchant_id, email, created);

-- Internal numbers: who registers with SIP. Passwords are digests of RFC 7616 only.
CREATE TABLE extensions (
  number         TEXT   NOT NULL PRIMARY KEY,
  merchant_id    BIGINT NOT NULL REFERENCES merchants (id),
  sub_account_id BIGINT REFERENCES sub_accounts (id),
  enabled        BIGINT NOT NULL,
  ha1_md5        TEXT   NOT NULL,
  ha1_sha256     TEXT   NOT NULL,
  bound_phone    TEXT,
  max_contacts   BIGINT NOT NULL,
  managed        BIGINT NOT NULL DEFAULT 0
);

-- Carriers. The password answers their challenges and so is readable.
CREATE TABLE trunks (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  name             TEXT   NOT NULL CONSTRAINT trunks_name_unique UNIQUE,
  enabled          BIGINT NOT NULL,
  peers            TEXT   NOT NULL,
  target           TEXT   NOT NULL,
  transport        TEXT   NOT NULL,
  domain           TEXT   NOT NULL,
  auth_user        TEXT,
  auth_password    TEXT,
  auth_realm       TEXT,
  numbers          TEXT   NOT NULL,
  codecs           TEXT   NOT NULL,
  max_calls        BIGINT,
  calls_per_second BIGINT,
  managed          BIGINT NOT NULL DEFAULT 0
);

-- Longest prefix wins, then the lower priority.
CREATE TABLE routes (
  prefix   TEXT   NOT NULL,
  trunk_id BIGINT NOT NULL REFERENCES trunks (id),
  priority BIGINT NOT NULL,
  managed  BIGINT NOT NULL DEFAULT 0,
  CONSTRAINT routes_unique PRIMARY KEY (prefix, trunk_id)
);

-- Public numbers (E.164 digits) and the extension each leads to.
CREATE TABLE inbound (
  number    TEXT   NOT NULL PRIMARY KEY,
  extension TEXT   NOT NULL REFERENCES extensions (number),
  managed   BIGINT NOT NULL DEFAULT 0
);

-- Accounts of system 001.
CREATE TABLE ytx_accounts (
  sid         TEXT   NOT NULL PRIMARY KEY,
  auth_token  TEXT   NOT NULL,
  merchant_id BIGINT NOT NULL REFERENCES merchants (id),
  active      BIGINT NOT NULL,
  managed     BIGINT NOT NULL DEFAULT 0
);

-- Their apps. `callback` is JSON: the mode and its addresses.
CREATE TABLE ytx_apps (
  appid       TEXT   NOT NULL PRIMARY KEY,
  sid         TEXT   NOT NULL REFERENCES ytx_accounts (sid),
  online      BIGINT NOT NULL,
  functions   TEXT   NOT NULL,
  callers     TEXT   NOT NULL,
  callback    TEXT   NOT NULL,
  cdr_types   TEXT   NOT NULL,
  unknown_as  TEXT   NOT NULL,
  allowed_ips TEXT   NOT NULL,
  record      BIGINT NOT NULL,
  managed     BIGINT NOT NULL DEFAULT 0
);

-- Companies of system 002, with both callback addresses.
CREATE TABLE companies (
  companycode TEXT   NOT NULL PRIMARY KEY,
  appid       TEXT   NOT NULL,
  accesskey   TEXT   NOT NULL,
  merchant_id BIGINT NOT NULL REFERENCES merchants (id),
  cdr_url     TEXT,
  state_url   TEXT,
  active      BIGINT NOT NULL,
  managed     BIGINT NOT NULL DEFAULT 0
);

-- What was applied when, with the difference it made (JSON).
CREATE TABLE applies (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  at      BIGINT NOT NULL,
  version BIGINT NOT NULL,
  changes TEXT   NOT NULL
);

-- SIP registrations, so that a restart still reaches the phones. `detail` belongs to the registrar.
CREATE TABLE bindings (
  extension TEXT   NOT NULL,
  contact   TEXT   NOT NULL,
  expires   BIGINT NOT NULL,
  detail    TEXT   NOT NULL,
  CONSTRAINT bindings_unique PRIMARY KEY (extension, contact)
);
