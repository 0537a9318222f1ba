-- The number that is meant, however it is written: two of one campaign that mean the same are called once.
ALTER TABLE campaign_numbers ADD COLUMN meant TEXT NOT NULL DEFAULT '';
UPDATE campaign_numbers SET meant = phone;
CREATE INDEX campaign_numbers_meant ON campaign_numbers (campaign, meant) WHERE state = 'waiting';

-- Calls one behind the other for which what was to be heard could not be had.
ALTER TABLE campaigns ADD COLUMN unheard BIGINT NOT NULL DEFAULT 0;

-- What the merchant was told of it so far, counted: the number outlives the rows that told it.
ALTER TABLE campaigns ADD COLUMN events BIGINT NOT NULL DEFAULT 0;
UPDATE campaigns SET events = COALESCE((SELECT MAX(o.sequence) FROM outbox o
  WHERE o.call_id = CAST(campaigns.id AS BIGINT)), 0) WHERE company LIKE '/v1/%';
