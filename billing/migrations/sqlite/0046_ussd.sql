-- Menus of system 003: what is dialled for them, and the sessions of subscribers who did.

-- `code`: as it is dialled, `*6655*123#`. `page`: the address that is asked. Times are milliseconds, `price` is of a
-- session, in millionths of the unit of its merchant's currency.
CREATE TABLE ussd_codes (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  merchant_id  BIGINT NOT NULL,
  code         TEXT   NOT NULL CONSTRAINT ussd_codes_code_unique UNIQUE,
  page         TEXT   NOT NULL,
  language     TEXT   NOT NULL,
  leading_star BIGINT NOT NULL,
  page_ms      BIGINT NOT NULL,
  input_ms     BIGINT NOT NULL,
  session_ms   BIGINT NOT NULL,
  price        BIGINT NOT NULL CONSTRAINT ussd_codes_price CHECK (price >= 0),
  managed      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX ussd_codes_by_merchant ON ussd_codes (merchant_id);

-- Ids are drawn where those of calls are. `price`: what the ledger took for it. `steps`: how often the page was asked,
-- known at the end. `outcome`: how it ended, none while it is open.
CREATE TABLE ussd_sessions (
  id          BIGINT NOT NULL CONSTRAINT ussd_sessions_once PRIMARY KEY,
  merchant_id BIGINT NOT NULL,
  code        TEXT   NOT NULL,
  mobile      TEXT   NOT NULL,
  door        TEXT   NOT NULL,
  opened      BIGINT NOT NULL,
  ended       BIGINT,
  steps       BIGINT NOT NULL,
  outcome     TEXT,
  price       BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX ussd_sessions_by_merchant ON ussd_sessions (merchant_id, id);
CREATE INDEX ussd_sessions_open ON ussd_sessions (id) WHERE ended IS NULL;
