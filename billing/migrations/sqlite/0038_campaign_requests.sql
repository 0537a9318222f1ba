-- What a company asked for under a name of its own, and the campaign that it became: the same request again is the same
-- one. `fingerprint`: what a repeat has to say as well.
CREATE TABLE campaign_requests (
  company     TEXT   NOT NULL,
  request     TEXT   NOT NULL,
  fingerprint TEXT   NOT NULL,
  campaign    TEXT   NOT NULL,
  at          BIGINT NOT NULL,
  CONSTRAINT campaign_requests_once PRIMARY KEY (company, request)
);
CREATE INDEX campaign_requests_at ON campaign_requests (at);

-- Until when a number was put off; `due` is what the merchant said.
ALTER TABLE campaign_numbers ADD COLUMN not_before BIGINT;
UPDATE campaign_numbers SET not_before = due, due = NULL WHERE state = 'waiting' AND why = 'congestion';
CREATE INDEX campaign_numbers_put_off ON campaign_numbers (campaign, not_before) WHERE not_before IS NOT NULL;

-- Somebody ended it before all its numbers were called.
ALTER TABLE campaigns ADD COLUMN cancelled BIGINT NOT NULL DEFAULT 0;
UPDATE campaigns SET cancelled = 1 WHERE state = 'ended' AND waiting > 0;

-- What a look at all campaigns reads: those that run, those whose time comes; and how many a merchant has open.
DROP INDEX campaigns_open;
CREATE INDEX campaigns_running ON campaigns (id) WHERE state = 'running';
CREATE INDEX campaigns_begins ON campaigns (begins) WHERE state = 'waiting';
CREATE INDEX campaigns_pauses ON campaigns (pauses) WHERE state = 'running';
CREATE INDEX campaigns_merchant ON campaigns (merchant_id) WHERE state <> 'ended';
