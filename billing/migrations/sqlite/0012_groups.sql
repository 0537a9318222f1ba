-- Groups of extensions. `number` is an internal number that no extension has; `members`: numbers of extensions,
-- in order; `otherwise`: where calls go that nobody took (facts::LeadsTo, JSON).
CREATE TABLE extension_groups (
  number      TEXT   NOT NULL PRIMARY KEY,
  merchant_id BIGINT NOT NULL REFERENCES merchants (id),
  name        TEXT   NOT NULL,
  enabled     BIGINT NOT NULL,
  strategy    TEXT   NOT NULL,
  members     TEXT   NOT NULL,
  ring_s      BIGINT NOT NULL,
  timeout_s   BIGINT NOT NULL,
  otherwise   TEXT,
  managed     BIGINT NOT NULL DEFAULT 0
);

-- What becomes of calls to an extension: one JSON object, a key absent means its default (facts::Reach).
ALTER TABLE extensions ADD COLUMN reach TEXT NOT NULL DEFAULT '{}';

-- An inbound number leads to an extension or to a group.
CREATE TABLE inbound_numbers (
  number    TEXT   NOT NULL PRIMARY KEY,
  extension TEXT   NOT NULL,
  managed   BIGINT NOT NULL DEFAULT 0
);
INSERT INTO inbound_numbers (number, extension, managed) SELECT number, extension, managed FROM inbound;
DROP TABLE inbound;
ALTER TABLE inbound_numbers RENAME TO inbound;
