-- How many numbers of a campaign stand where (billing::campaigns::Tally), kept with each change of a number; when it
-- ended.
ALTER TABLE campaigns ADD COLUMN total    BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN waiting  BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN calling  BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN done     BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN answered BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN joined   BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN refused  BIGINT NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN ended    BIGINT;
UPDATE campaigns SET
  total    = (SELECT COUNT(*) FROM campaign_numbers n WHERE n.campaign = campaigns.id),
  waiting  = (SELECT COUNT(*) FROM campaign_numbers n WHERE n.campaign = campaigns.id AND n.state = 'waiting'),
  calling  = (SELECT COUNT(*) FROM campaign_numbers n WHERE n.campaign = campaigns.id AND n.state = 'calling'),
  done     = (SELECT COUNT(*) FROM campaign_numbers n WHERE n.campaign = campaigns.id AND n.state = 'done'),
  answered = (SELECT COUNT(*) FROM campaign_numbers n WHERE n.campaign = campaigns.id AND n.answered <> 0),
  joined   = (SELECT COUNT(*) FROM campaign_numbers n WHERE n.campaign = campaigns.id AND n.joined <> 0),
  refused  = (SELECT COUNT(*) FROM campaign_numbers n WHERE n.campaign = campaigns.id AND n.state = 'refused'),
  ended    = CASE WHEN state = 'ended' THEN created END;
CREATE INDEX campaigns_calling ON campaigns (id) WHERE calling > 0;
CREATE INDEX campaigns_ended ON campaigns (ended) WHERE ended IS NOT NULL;

-- How many agents of a campaign are registered with a process: the one that has the most dials it. Good until `until`.
CREATE TABLE campaign_agents (
  campaign TEXT   NOT NULL,
  process  TEXT   NOT NULL,
  agents   BIGINT NOT NULL,
  until    BIGINT NOT NULL,
  PRIMARY KEY (campaign, process)
);
