-- Whether the merchant has fetched a record, where its system counts that (system 002).
ALTER TABLE records ADD COLUMN fetched BIGINT NOT NULL DEFAULT 0;
