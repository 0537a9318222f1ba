-- Numbers by which two people reach each other and neither learns the other's.

-- Whether an inbound number is one of them.
ALTER TABLE inbound ADD COLUMN axb BIGINT NOT NULL DEFAULT 0;

-- `number`: the one that both call and are shown. `seconds`: what was asked for. `ended`: when it was taken back.
-- `revision`: of the row's last change; processes read those they have not seen yet.
CREATE TABLE axb_bindings (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  merchant_id BIGINT NOT NULL,
  number      TEXT   NOT NULL,
  a           TEXT   NOT NULL,
  b           TEXT   NOT NULL,
  reference   TEXT   NOT NULL,
  seconds     BIGINT NOT NULL,
  created     BIGINT NOT NULL,
  expires     BIGINT NOT NULL,
  ended       BIGINT,
  revision    BIGINT NOT NULL
);
CREATE UNIQUE INDEX axb_by_revision ON axb_bindings (revision);
CREATE INDEX axb_by_a ON axb_bindings (number, a, expires) WHERE ended IS NULL;
CREATE INDEX axb_by_b ON axb_bindings (number, b, expires) WHERE ended IS NULL;
CREATE INDEX axb_open ON axb_bindings (merchant_id, expires) WHERE ended IS NULL;
CREATE INDEX axb_by_merchant ON axb_bindings (merchant_id, id);
CREATE INDEX axb_by_expiry ON axb_bindings (expires, id);

-- Whoever changes a binding takes the next revision and keeps the row until it commits: revisions are seen in order.
CREATE TABLE axb_clock (
  only_row BIGINT NOT NULL PRIMARY KEY CONSTRAINT axb_clock_one CHECK (only_row = 1),
  revision BIGINT NOT NULL
);
INSERT INTO axb_clock (only_row, revision) VALUES (1, 0);
