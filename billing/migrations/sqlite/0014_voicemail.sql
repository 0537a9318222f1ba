-- Messages in voice mailboxes, one for each call that left one. `mailbox`: the extension; `merchant_id`: whose it
-- was then, so that a number that passes on to somebody else does not pass on what was said to the first.
-- `file`: path below the recordings folder.
CREATE TABLE voicemail (
  call_id     BIGINT NOT NULL PRIMARY KEY,
  mailbox     TEXT   NOT NULL,
  merchant_id BIGINT NOT NULL,
  caller      TEXT   NOT NULL,
  at          BIGINT NOT NULL,
  duration_ms BIGINT NOT NULL,
  bytes       BIGINT NOT NULL,
  file        TEXT   NOT NULL,
  heard       BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX voicemail_mailbox ON voicemail (mailbox, call_id);
