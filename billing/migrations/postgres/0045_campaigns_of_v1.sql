-- Why the switch paused a campaign; empty where it did not.
ALTER TABLE campaigns ADD COLUMN reason TEXT NOT NULL DEFAULT '';

-- How often nobody answered, where a number is called again for that.
ALTER TABLE campaign_numbers ADD COLUMN missed BIGINT NOT NULL DEFAULT 0;

-- What was answered to a request: how the campaign stood, and how many numbers were kept (JSON). Whoever adds numbers
-- without a name of his own had it as the fingerprint.
ALTER TABLE campaign_requests ADD COLUMN told TEXT;
