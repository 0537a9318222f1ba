-- What was spoken on a leg: names of codings with commas between; NULL: nothing was agreed. What protected its sound
-- (SRTP) all the time: the registered name of the suite; NULL: nothing did, or not always.
ALTER TABLE cdrs ADD COLUMN codings TEXT;
ALTER TABLE cdrs ADD COLUMN srtp TEXT;
-- How an extension's phones take keys (facts::manners::Dtmf); NULL: as all phones do.
ALTER TABLE extensions ADD COLUMN dtmf TEXT;
