-- How many calls merchants, sub-accounts, extensions and inbound numbers may have (facts::capacity::Capacity;
-- '{}': as many as they like), as one JSON object.
ALTER TABLE merchants ADD COLUMN capacity TEXT NOT NULL DEFAULT '{}';
ALTER TABLE sub_accounts ADD COLUMN capacity TEXT NOT NULL DEFAULT '{}';
ALTER TABLE extensions ADD COLUMN capacity TEXT NOT NULL DEFAULT '{}';
ALTER TABLE inbound ADD COLUMN capacity TEXT NOT NULL DEFAULT '{}';
