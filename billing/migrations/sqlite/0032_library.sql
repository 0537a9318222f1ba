-- Sounds that companies of system 002 have sent in. `name`: without its ending, which `kind` (`wav`, `mp3`) tells; `sum`: SHA-256
-- of the octets, hex, by which calls under way find what they were promised.
CREATE TABLE company_sounds (
  company  TEXT   NOT NULL,
  name     TEXT   NOT NULL,
  kind     TEXT   NOT NULL,
  sum      TEXT   NOT NULL,
  length   BIGINT NOT NULL,
  millis   BIGINT NOT NULL,
  uploaded BIGINT NOT NULL,
  octets   BLOB     NOT NULL,
  PRIMARY KEY (company, name)
);
CREATE INDEX company_sounds_sum ON company_sounds (company, sum);
