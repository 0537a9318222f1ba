-- Requests under an `Idempotency-Key` that become no call of their own. `request`: the call that they were for, and a
-- digest of the key; `fingerprint`: what a repeat has to say as well.
CREATE TABLE request_repeats (
  merchant_id BIGINT NOT NULL,
  request     TEXT   NOT NULL,
  fingerprint TEXT   NOT NULL,
  at          BIGINT NOT NULL,
  PRIMARY KEY (merchant_id, request)
);
CREATE INDEX request_repeats_at ON request_repeats (at);
