-- Keys of the merchants' own systems for `/v1`. `hash`: the SHA-256 of the whole key, in hex; the key itself is told
-- once, when it is made. `scopes`, `allowed_ips` and `caller_ids` are JSON lists. A key that was revoked stays for the
-- record of what it was.
CREATE TABLE api_keys (
  id          TEXT   NOT NULL CONSTRAINT api_keys_once PRIMARY KEY,
  merchant_id BIGINT NOT NULL,
  name        TEXT   NOT NULL,
  hash        TEXT   NOT NULL,
  scopes      TEXT   NOT NULL,
  allowed_ips TEXT   NOT NULL,
  caller_ids  TEXT   NOT NULL,
  created     BIGINT NOT NULL,
  expires     BIGINT,
  revoked     BIGINT
);
CREATE INDEX api_keys_by_merchant ON api_keys (merchant_id, created);
