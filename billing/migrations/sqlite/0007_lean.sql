-- Indexes that no query of SQLite's reads: each was written by every call. The lists of one merchant walk the ids
-- (a parameter that may be NULL is no constraint to SQLite's planner), the audit of the books reads whole tables,
-- and what takes back a call knows its request key.
DROP INDEX transfers_by_call;
DROP INDEX entries_by_account;
DROP INDEX holds_open;
DROP INDEX cdrs_by_merchant;
DROP INDEX outbox_by_merchant;
DROP INDEX request_keys_by_call;
