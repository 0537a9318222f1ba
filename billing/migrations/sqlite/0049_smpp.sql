-- Lines to networks by SMPP. `password` is stored readable, since binds are made with it. `sender_ton`, `sender_npi`: NULL where
-- the sender's own form says. `per_second` 0: no limit. `node`: which process binds it; NULL: every one.
CREATE TABLE smpp_links (
  name            TEXT   NOT NULL PRIMARY KEY,
  host            TEXT   NOT NULL,
  port            BIGINT NOT NULL,
  tls             BIGINT NOT NULL,
  version         TEXT   NOT NULL,
  system_id       TEXT   NOT NULL,
  password        TEXT   NOT NULL,
  system_type     TEXT   NOT NULL,
  bind            TEXT   NOT NULL,
  sender          TEXT   NOT NULL,
  sender_ton      BIGINT,
  sender_npi      BIGINT,
  alphabet        TEXT   NOT NULL,
  long_texts      TEXT   NOT NULL,
  ids             TEXT   NOT NULL,
  bind_window     BIGINT NOT NULL,
  per_second      BIGINT NOT NULL,
  enquire_seconds BIGINT NOT NULL,
  sms             BIGINT NOT NULL,
  ussd            BIGINT NOT NULL,
  enabled         BIGINT NOT NULL DEFAULT 1,
  node            BIGINT,
  managed         BIGINT NOT NULL DEFAULT 0
);

-- Parts of messages that came by such a line and wait for the others. `reference`: how the sender's phone calls the message.
-- `done`: it was whole and is handed on; by its parts one that comes again is known.
CREATE TABLE smpp_parts (
  link      TEXT   NOT NULL,
  sender    TEXT   NOT NULL,
  recipient TEXT   NOT NULL,
  reference BIGINT NOT NULL,
  total     BIGINT NOT NULL,
  number    BIGINT NOT NULL,
  coding    BIGINT NOT NULL,
  octets    BLOB   NOT NULL,
  at        BIGINT NOT NULL,
  done      BIGINT NOT NULL DEFAULT 0,
  CONSTRAINT smpp_parts_once PRIMARY KEY (link, sender, recipient, reference, total, number)
);
CREATE INDEX smpp_parts_at ON smpp_parts (at);
CREATE INDEX smpp_parts_waiting ON smpp_parts (link, at) WHERE done = 0;
CREATE INDEX smpp_parts_sender ON smpp_parts (link, sender, at) WHERE done = 0;

-- Parts of messages that have left, when each was cut into `total`, and how the network calls them.
CREATE TABLE smpp_left (
  link      TEXT   NOT NULL,
  sms_id    BIGINT NOT NULL,
  total     BIGINT NOT NULL,
  number    BIGINT NOT NULL,
  reference TEXT   NOT NULL,
  at        BIGINT NOT NULL,
  CONSTRAINT smpp_left_once PRIMARY KEY (link, sms_id, total, number)
);
CREATE INDEX smpp_left_at ON smpp_left (at);
