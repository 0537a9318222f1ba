-- Indexes that no query reads: each was written by every call. The audit of the books reads whole tables, and what
-- takes back a call knows its request key. The lists of one merchant do use theirs: PostgreSQL plans with the
-- value of a parameter.
DROP INDEX transfers_by_call;
DROP INDEX holds_open;
DROP INDEX request_keys_by_call;
