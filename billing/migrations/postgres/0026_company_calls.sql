-- Calls of companies of system 002: numbers that they may show (E.164 digits, JSON), whether they are recorded
-- (facts::media::Record), whether a customuuid is taken once, and how they are told: the form of records, the method of states.
ALTER TABLE companies ADD COLUMN callers TEXT NOT NULL DEFAULT '[]';
ALTER TABLE companies ADD COLUMN record BIGINT NOT NULL DEFAULT 0;
ALTER TABLE companies ADD COLUMN dedupe_customuuid BIGINT NOT NULL DEFAULT 0;
ALTER TABLE companies ADD COLUMN cdr_version TEXT NOT NULL DEFAULT 'seed';
ALTER TABLE companies ADD COLUMN state_method TEXT NOT NULL DEFAULT '2';
