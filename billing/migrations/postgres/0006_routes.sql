-- Routes share calls by weight, know what a minute costs us (millionths; NULL: not known) and when they are open
-- (JSON list of "DAYS HH:MM-HH:MM"; empty: always), read in the installation's time zone (IANA name).
ALTER TABLE routes ADD COLUMN weight BIGINT NOT NULL DEFAULT 1;
ALTER TABLE routes ADD COLUMN cost BIGINT;
ALTER TABLE routes ADD COLUMN hours TEXT NOT NULL DEFAULT '[]';
ALTER TABLE settings ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'Asia/Shanghai';
