-- Settings of a trunk that most leave as they are: one JSON object, a key absent means its default
-- (facts::settings::TrunkOptions).
ALTER TABLE trunks ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
