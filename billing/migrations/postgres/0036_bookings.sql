-- A booking that is asked for again under its key is the same one. `request`: the key, with the app that it is of;
-- `fingerprint`: what was asked for.
ALTER TABLE conferences ADD COLUMN request TEXT;
ALTER TABLE conferences ADD COLUMN fingerprint TEXT;
CREATE INDEX conferences_request ON conferences (merchant_id, request) WHERE request IS NOT NULL;
CREATE INDEX conferences_booked ON conferences (merchant_id) WHERE state = 'booked';

-- Another word whenever the list has changed: who has read it once reads it again then. Empty: always.
ALTER TABLE number_lists ADD COLUMN revision TEXT NOT NULL DEFAULT '';
