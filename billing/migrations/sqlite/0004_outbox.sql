-- Promises to tell merchants. A row is written in the transaction that makes its event true.

-- `due`: when it may be leased next; a lease moves it to the lease's end, so a worker that dies gives the row
-- back by doing nothing. `stream` is call and endpoint: within it, order is kept. `origin` is the server that
-- is told: leasing goes round the origins. `body`: the bytes, once formatted, the same on every attempt.
CREATE TABLE outbox (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  call_id          BIGINT NOT NULL,
  merchant_id      BIGINT NOT NULL,
  push_no          BIGINT NOT NULL,
  sequence         BIGINT NOT NULL,
  kind             TEXT   NOT NULL,
  dialect          TEXT   NOT NULL,
  endpoint         TEXT   NOT NULL,
  origin           TEXT   NOT NULL,
  stream           TEXT   NOT NULL,
  context          TEXT   NOT NULL,
  payload          TEXT   NOT NULL,
  settings_version BIGINT NOT NULL,
  body             BLOB,
  attempts         BIGINT NOT NULL DEFAULT 0,
  created          BIGINT NOT NULL,
  due              BIGINT NOT NULL,
  state            TEXT   NOT NULL CONSTRAINT outbox_state CHECK (state IN ('pending', 'done', 'parked')),
  CONSTRAINT outbox_once UNIQUE (call_id, push_no, sequence)
);
CREATE INDEX outbox_due ON outbox (due) WHERE state = 'pending';
CREATE INDEX outbox_stream ON outbox (stream, id) WHERE state = 'pending';
CREATE INDEX outbox_by_merchant ON outbox (merchant_id, id);

-- Every attempt, for the merchant's callback log.
CREATE TABLE outbox_attempts (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  outbox_id  BIGINT NOT NULL REFERENCES outbox (id),
  at         BIGINT NOT NULL,
  request    TEXT   NOT NULL,
  status     BIGINT,
  answer     BLOB   NOT NULL,
  latency_ms BIGINT NOT NULL
);
CREATE INDEX outbox_attempts_by_row ON outbox_attempts (outbox_id, id);
