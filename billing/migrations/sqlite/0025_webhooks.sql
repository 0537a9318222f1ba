-- Addresses to which events of `/v1` are pushed. `events`: names with a blank before and behind each, or a star. `secrets`
-- (JSON): what pushes are signed with, which has to be readable for that. `failing`: since when nothing was delivered.
CREATE TABLE webhooks (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  merchant_id BIGINT NOT NULL,
  url         TEXT   NOT NULL,
  events      TEXT   NOT NULL,
  secrets     TEXT   NOT NULL,
  state       TEXT   NOT NULL CONSTRAINT webhooks_state CHECK (state IN ('enabled', 'disabled')),
  reason      TEXT   NOT NULL DEFAULT '',
  failing     BIGINT,
  created     BIGINT NOT NULL,
  once        TEXT   NOT NULL CONSTRAINT webhooks_once UNIQUE
);
CREATE INDEX webhooks_by_merchant ON webhooks (merchant_id, id);

-- A row of the outbox without an address is an entry of the merchant's list of events: it is delivered from the beginning.
ALTER TABLE outbox ADD COLUMN webhook_id BIGINT;
CREATE INDEX outbox_events ON outbox (merchant_id, id) WHERE endpoint = '';
CREATE INDEX outbox_of_webhook ON outbox (webhook_id, id) WHERE webhook_id IS NOT NULL;
