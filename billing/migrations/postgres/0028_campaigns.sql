-- Lists of numbers that are dialled for agents. `plan`: how (billing::campaigns::Plan, JSON). `begins`, `pauses`:
-- when it starts and stops by itself. State: `waiting`, `running`, `paused`, `ended`. `owner`: the process that dials it, until `leased`.
CREATE TABLE campaigns (
  id          TEXT   NOT NULL PRIMARY KEY,
  merchant_id BIGINT NOT NULL,
  company     TEXT   NOT NULL,
  name        TEXT   NOT NULL,
  plan        TEXT   NOT NULL,
  begins      BIGINT,
  pauses      BIGINT,
  state       TEXT   NOT NULL,
  created     BIGINT NOT NULL,
  owner       TEXT   NOT NULL DEFAULT '',
  leased      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX campaigns_company ON campaigns (company, id);
CREATE INDEX campaigns_open ON campaigns (state) WHERE state <> 'ended';
-- Their numbers. `due`: not before. `said`: what the merchant wants back (billing::campaigns::Said, JSON). State:
-- `waiting`, `calling` (with its call), `done`, `refused` (with `why`).
CREATE TABLE campaign_numbers (
  campaign TEXT   NOT NULL,
  seq      BIGINT NOT NULL,
  phone    TEXT   NOT NULL,
  due      BIGINT,
  said     TEXT   NOT NULL,
  state    TEXT   NOT NULL DEFAULT 'waiting',
  call_id  BIGINT,
  why      TEXT,
  answered BIGINT NOT NULL DEFAULT 0,
  joined   BIGINT NOT NULL DEFAULT 0,
  tries    BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (campaign, seq)
);
CREATE INDEX campaign_numbers_state ON campaign_numbers (campaign, state, seq);
