-- Whether calls of extensions, groups and inbound numbers are recorded, by the number of facts::media::Record, which the
-- column of the same name of merchants and apps has too.
ALTER TABLE extensions ADD COLUMN record BIGINT NOT NULL DEFAULT 0;
ALTER TABLE extension_groups ADD COLUMN record BIGINT NOT NULL DEFAULT 0;
ALTER TABLE inbound ADD COLUMN record BIGINT NOT NULL DEFAULT 0;
